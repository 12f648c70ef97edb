/** Two ends of calls in one thread: each message is copied, as between threads, and handled at once. */
import { type Handlers, ThreadCalls } from '../../../src/daemon/calls/thread-calls.js';

type Calls<M> = { [K in keyof M]: { args: unknown; answer?: unknown } };

export interface JoinedCalls<Out extends Calls<Out>, In extends Calls<In>> {
  here: ThreadCalls<Out, In>;
  there: ThreadCalls<In, Out>;
}

export function joinedCalls<Out extends Calls<Out>, In extends Calls<In>>(
  here: Handlers<In>,
  there: Handlers<Out>,
): JoinedCalls<Out, In> {
  const joined: JoinedCalls<Out, In> = {
    here: new ThreadCalls<Out, In>({
      post: (message) => joined.there.receive(structuredClone(message)),
      handlers: here,
    }),
    there: new ThreadCalls<In, Out>({
      post: (message) => joined.here.receive(structuredClone(message)),
      handlers: there,
    }),
  };
  return joined;
}
