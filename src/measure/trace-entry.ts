/** One request as a trace shows it. */
export interface TraceEntry {
  timeMs: number;
  /** The kernel's name of the kind. */
  op: string;
  /** Below the mountpoint, a byte string; a file without a name: `#` and its number. */
  path: string;
  /** RENAME and LINK: the other name. */
  newPath?: string;
  /** 0: the driver does not report it. */
  pid: number;
  /** 0: none. */
  errno: number;
  /** Of READ, WRITE and listings. */
  sizeBytes?: number;
  tookMs: number;
}

/** Receives traced requests; present only while a trace is followed. */
export interface TraceSink {
  /** Called first, so that no path is computed for an unwanted request. */
  wants(op: string, tookMs: number, errno: number): boolean;
  note(entry: TraceEntry): void;
}
