import { config } from "../kernel/config";
import { configuredAddress, configuredPeer } from "./configured";
import { info } from "../kernel/log";
import {
  AddressOrigin,
  Interface,
  InterfaceAddress,
  addAddress,
  findAddress,
  removeAddress,
} from "./interface";
import { Claim, claimAddress } from "./link/conflict";
import { RouteOrigin, defaultAdd, defaultRemove } from "./route/table";

/** The address, router and DNS servers of the command line: for good, or while no DHCP server answers. */

/** Gives `iface` the IPv4 address that the operator gave its card in particular; false if none. */
export function linkStart(iface: Interface): bool {
  const given = configuredAddress(iface.device.number, false);
  if (given === null) return false;
  const record = addAddress(iface, given.address, given.prefix, AddressOrigin.Static);
  if (record === null) return false;
  claimAddress(record, Claim.Prompt, 0, 0);
  configuredPeer(iface, given);
  const line = iface.device.nameIn(info("net")).text(" ");
  line.ip(given.address).text("/").number(given.prefix);
  if (given.peerBits) line.text(" peer ").ip(given.peer);
  line.text(" (static)").end();
  return true;
}

/** Gives them to `iface`, once. False if there are none, or another interface has the address. */
export function staticStart(iface: Interface): bool {
  if (config.address.isAny) return false;
  if (staticOf(iface) !== null) return true;
  const record = addAddress(iface, config.address, config.prefix, AddressOrigin.Static);
  if (record === null) return false;
  if (!config.gateway.isAny) defaultAdd(iface, config.gateway, RouteOrigin.Static);
  for (let i: u32 = 0; i < config.dnsCount; i++) iface.dns(i).copy(config.dns(i));
  iface.dnsCount = config.dnsCount;
  claimAddress(record, Claim.Prompt, 0, 0);
  const line = iface.device.nameIn(info("net")).text(" ");
  line.ip(config.address).text("/").number(config.prefix);
  if (!config.gateway.isAny) line.text(" gateway ").ip(config.gateway);
  line.text(" (static)").end();
  return true;
}

/** Takes them from `iface` again, if it has them. */
export function staticStop(iface: Interface): void {
  const record = staticOf(iface);
  if (record === null) return;
  if (!config.gateway.isAny) defaultRemove(iface, config.gateway, RouteOrigin.Static);
  iface.dnsCount = 0;
  removeAddress(record);
}

/** The configured address on `iface`, or null. */
function staticOf(iface: Interface): InterfaceAddress | null {
  const record = findAddress(config.address.hi, config.address.lo);
  const ours = record !== null && record.iface == iface && record.origin == AddressOrigin.Static;
  return ours ? record : null;
}
