import { Tcb, TcbFlag, tcbFree } from "./tcb";

/**
 * Connections that want an output pass. Input, timers and the program only mark; the pass at the
 * end of the step sends what has come together, so a burst is answered by one ACK (RFC 9293,
 * 3.10.7.4: MUST-59) and small writes share a segment.
 */

let head: Tcb | null = null;
let tail: Tcb | null = null;

/** Asks for an output pass. */
@inline export function markDirty(t: Tcb): void {
  if (!t.has(TcbFlag.Dirty)) append(t);
}

function append(t: Tcb): void {
  t.raise(TcbFlag.Dirty);
  t.dirtyNext = null;
  const last = tail;
  if (last === null) head = t;
  else last.dirtyNext = t;
  tail = t;
}

/** Takes the next one off the list, or null; frees on the way what was only waiting for that. */
export function nextDirty(): Tcb | null {
  for (let t = head; t !== null; t = head) {
    const next = t.dirtyNext;
    head = next;
    if (next === null) tail = null;
    t.clear(TcbFlag.Dirty);
    if (!t.has(TcbFlag.Free)) return t;
    tcbFree(t);
  }
  return null;
}
