/** One request as a trace shows it. */
export interface TraceEntry {
  timeMs: number;
  /** The kernel's name of the kind. */
  op: string;
  /** Below the mountpoint, a byte string; a file without a name: `#` and its number. */
  path: string;
  /** RENAME and LINK: the other name. */
  to?: string;
  /** 0: the driver does not tell. */
  pid: number;
  /** 0: none. */
  errno: number;
  /** Of READ, WRITE and listings. */
  bytes?: number;
  us: number;
}

/** Takes what is traced; there only while somebody follows. */
export interface TraceSink {
  /** Asked first, so that a request that nobody wants costs no path. */
  wants(op: string, us: number, errno: number): boolean;
  note(entry: TraceEntry): void;
}
