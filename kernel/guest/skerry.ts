import { Layout } from "../../sdk/assembly/syscalls";
import { PIPES } from "../features";
import { SocketAddress } from "../socket";
import { GuestCall } from "./calls";
import { Description, DescriptorKind } from "./descriptors";
import { epollControl, epollMake, epollWait } from "./epoll";
import { WasiErrno } from "./errno";
import { eventMake } from "./eventfd";
import { Guest } from "./guest";
import { interfaceAddressCall, interfaceCall } from "./interfaces";
import { lease, release } from "./leases";
import { availableOf, duplicate, duplicateTo } from "./objects";
import { isPair, pairAddress, pairMake, pairOption, pipeMake } from "./pipes";
import { poll } from "./polling";
import { sendFile } from "./sendfile";
import {
  SocketDescription,
  accept,
  bind,
  connect,
  getOption,
  getOptionData,
  listen,
  localAddress,
  peerAddress,
  setOption,
  setOptionData,
  socketMake,
} from "./sockets";
import { timerGet, timerMake, timerSet } from "./timerfd";
import { receive, receiveFrom, receiveMessage, send, sendMessage, sendTo } from "./transfer";

/**
 * The module `skerry`, whose contract is sdk/c/include/skerry.h: what WASI has no calls for. Each answers 0
 * or more, or a `WasiErrno` below zero, or has parked the guest.
 */

/** A call of the module, `again` after the guest was parked for it. */
export function skerryCall(guest: Guest, call: u32, again: bool): i32 {
  const record = guest.record;
  const a0 = <u32>record.argument(0);
  const a1 = <u32>record.argument(1);
  const a2 = <u32>record.argument(2);
  const a3 = <u32>record.argument(3);
  const descriptors = guest.descriptors;
  switch (call) {
    case GuestCall.socket:
      return socketMake(guest, a0, a1, a2);
    case GuestCall.available: {
      const d = descriptors.at(a0);
      return d === null ? -WasiErrno.Badf : availableOf(d);
    }
    case GuestCall.duplicate:
      return duplicate(guest, a0, a1, a2 != 0);
    case GuestCall.duplicate_to:
      return duplicateTo(guest, a0, a1, a2 != 0);
    case GuestCall.close_on_exec:
      if (descriptors.at(a0) === null) return -WasiErrno.Badf;
      if (<i32>a1 >= 0) descriptors.setClosesOnExec(a0, a1 != 0);
      return i32(descriptors.closesOnExec(a0));
    case GuestCall.poll:
      return poll(guest, again);
    case GuestCall.epoll_create:
      return epollMake(guest, a0);
    case GuestCall.epoll_ctl:
      return epollControl(guest, descriptors.at(a0));
    case GuestCall.epoll_wait:
      return epollWait(guest, descriptors.at(a0), again);
    case GuestCall.eventfd:
      return eventMake(guest, record.argument(0), a1);
    case GuestCall.pipe:
      return PIPES ? pipeMake(guest, a0, a1) : -WasiErrno.Nosys;
    case GuestCall.pair:
      return PIPES ? pairMake(guest, a0, a1, a2) : -WasiErrno.Nosys;
    case GuestCall.interface_info:
      return interfaceCall(guest, a0, a1);
    case GuestCall.interface_address:
      return interfaceAddressCall(guest, a0, a1, a2);
    case GuestCall.timerfd_create:
      return timerMake(guest, a0, a1);
    case GuestCall.timerfd_settime:
      return -(<i32>timerSet(guest, descriptors.at(a0)));
    case GuestCall.timerfd_gettime:
      return -(<i32>timerGet(guest, descriptors.at(a0)));
    case GuestCall.release:
      return release(guest, a0);
    case GuestCall.send_file:
      return sendFile(guest, again);
    default:
  }
  const d = descriptors.at(a0);
  if (d === null) return -WasiErrno.Badf;
  if (d.kind != DescriptorKind.Socket) {
    return PIPES && isPair(d) ? pairCall(guest, call, d, again) : -WasiErrno.Notsock;
  }
  const s = changetype<SocketDescription>(d);
  switch (call) {
    case GuestCall.bind:
    case GuestCall.connect: {
      const address = guest.memory(a1, Layout.Address);
      if (!address) return -WasiErrno.Fault;
      const to = changetype<SocketAddress>(address);
      return call == GuestCall.bind ? bind(s, to) : connect(guest, s, to, again);
    }
    case GuestCall.lease:
      return lease(guest, s, a1, 0, again);
    case GuestCall.lease_from:
      return lease(guest, s, a1, a2, again);
    case GuestCall.listen:
      return listen(s, a1);
    case GuestCall.accept:
      return accept(guest, s, a1, a2, again);
    case GuestCall.send:
      return send(guest, s, again);
    case GuestCall.receive:
      return receive(guest, s, again);
    case GuestCall.send_to:
      return sendTo(guest, s, again);
    case GuestCall.receive_from:
      return receiveFrom(guest, s, again);
    case GuestCall.send_message:
      return sendMessage(guest, s, again);
    case GuestCall.receive_message:
      return receiveMessage(guest, s, again);
    case GuestCall.local_address:
      return localAddress(guest, s, a1);
    case GuestCall.peer_address:
      return peerAddress(guest, s, a1);
    case GuestCall.set_option:
      return setOption(guest, s, a1, a2);
    case GuestCall.get_option:
      return getOption(s, a1);
    case GuestCall.set_option_data:
      return setOptionData(guest, s, a1, a2, a3);
    case GuestCall.get_option_data:
      return getOptionData(guest, s, a1, a2, a3);
    default:
      return -WasiErrno.Nosys;
  }
}

/** A call about one of a pair of sockets: EOPNOTSUPP for what is about addresses that it does not have. */
function pairCall(guest: Guest, call: u32, d: Description, again: bool): i32 {
  const a1 = <u32>guest.record.argument(1);
  switch (call) {
    case GuestCall.send:
      return send(guest, d, again);
    case GuestCall.receive:
      return receive(guest, d, again);
    case GuestCall.receive_from:
      return receiveFrom(guest, d, again);
    case GuestCall.send_message:
      return sendMessage(guest, d, again);
    case GuestCall.receive_message:
      return receiveMessage(guest, d, again);
    case GuestCall.local_address:
    case GuestCall.peer_address:
      return pairAddress(guest, d, a1, call == GuestCall.peer_address);
    case GuestCall.get_option:
      return pairOption(d, a1);
    case GuestCall.connect:
    case GuestCall.send_to:
      return -WasiErrno.Isconn;
    case GuestCall.accept:
    case GuestCall.listen:
    case GuestCall.bind:
      return -WasiErrno.Notsup;
    default:
      return -WasiErrno.Noprotoopt;
  }
}
