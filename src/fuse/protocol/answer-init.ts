/** Answers INIT: the agreement with the kernel, or why there is none. */
import type { Negotiated, Wishes } from './negotiate.js';
import { negotiate } from './negotiate.js';
import { decodeInit } from './bodies.js';
import type { Reply } from './reply.js';
import type { Request } from './request.js';

export interface InitAnswer {
  /** Bytes of the reply's body. */
  bodyBytes: number;
  /** Absent: the kernel will ask again, in a version we speak. */
  negotiated?: Negotiated;
}

/** `too-old`: the kernel's protocol is older than the oldest one supported here. Throws FsError. */
export function answerInit(
  request: Request,
  reply: Reply,
  wishes: Partial<Wishes>,
): InitAnswer | 'too-old' {
  const answer = negotiate(decodeInit(request), wishes);
  if (answer === 'too-old') return answer;
  if (answer === 'other-major') {
    const empty = { flags: 0, flags2: 0, maxReadahead: 0, maxBackground: 0 };
    const limits = { congestionThreshold: 0, maxWriteBytes: 0, maxPages: 0 };
    return { bodyBytes: reply.init({ minor: 0, ...empty, ...limits }) };
  }
  return { bodyBytes: reply.init(answer.reply), negotiated: answer.negotiated };
}
