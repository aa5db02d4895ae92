import { EndpointEvent, notify } from "../endpoint";
import { memoryEased } from "./queues/budget";
import { Tcb, TcbFlag, tcbFree } from "./tcb";
import { workLeft } from "./work";

/**
 * Connections whose program could not send because packet memory or working parts were short, not
 * because its own queue was full: no ACK will tell them when there is room, so they are told when
 * there is.
 */

let head: Tcb | null = null;

/** Notes that `t` waits for memory. */
export function starve(t: Tcb): void {
  if (t.has(TcbFlag.Starved | TcbFlag.Unaccepted)) return;
  t.raise(TcbFlag.Starved);
  t.next = head;
  head = t;
}

/** Tells all that wait, if there is memory again. */
export function relieve(): void {
  if (head === null || !memoryEased() || !workLeft()) return;
  for (let t = head; t !== null; t = head) {
    head = t.next;
    t.clear(TcbFlag.Starved);
    if (t.has(TcbFlag.Free)) tcbFree(t);
    else notify(t.owner, EndpointEvent.Writable);
  }
}
