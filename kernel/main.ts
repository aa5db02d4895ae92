import { Device, deviceAt, deviceCount } from "../drivers/device";
import "../drivers/drivers";
import { healthCheck } from "../drivers/health";
import { linesInit } from "../drivers/lines";
import { loopbackStart } from "../drivers/loopback";
import { devicesStart } from "../drivers/manager";
import { dnsInit } from "../net/dns/resolver";
import { mdnsCheck, mdnsInit } from "../net/mdns/responder";
import { DATAGRAM_ENDPOINTS, endpointCapacity, netInit, netInput, netOutput } from "../net/stack";
import { appReady, appStart } from "./app";
import { clockUpdate, now } from "./clock";
import { configParse } from "./config";
import { CONSOLE, GUESTS, NAMES } from "./features";
import {
  idleFound,
  idlePrepare,
  idleShouldSleep,
  idleSleep,
  idleStay,
  idleWake,
  idleWorked,
} from "./idle";
import { boot, memoryInit } from "./memory";
import { powerCheck, powerInit } from "./power";
import { poolsInit } from "./packet";
import { consoleCheck } from "./guest/console";
import { guestsInit, guestsLease, guestsRun } from "./guest/guests";
import { randomInit } from "./random";
import { SOCKETS_MAX, socketsInit } from "./socket";
import { SECOND, Timer, timersAdvance } from "./timer";

export { powerOff } from "./power";
export { syscall } from "./syscall";

/**
 * The kernel from the host's side: bring the machine up, then do what is ready, again and again.
 */

/** Most packets taken from one device before the others, the timers and the program have their turn. */
const BURST: u32 = 32;

let loopback: Device | null = null;
const deviceCheck = changetype<Timer>(memory.data(offsetof<Timer>(), 8));

/** Brings the machine up. The host calls it once, before the first `step`. */
export function init(): void {
  clockUpdate();
  memoryInit();
  configParse(boot.commandLine, boot.commandLineLength);
  poolsInit(GUESTS && guestsLease());
  randomInit();
  linesInit();
  devicesStart();
  loopback = loopbackStart();
  powerInit();
  deviceCheck.init(checkDevices, 0);
  deviceCheck.arm(now() + SECOND);
  const endpoints = endpointCapacity(SOCKETS_MAX);
  socketsInit(endpoints, DATAGRAM_ENDPOINTS);
  netInit(endpoints);
  mdnsInit();
  appStart();
  if (NAMES) dnsInit();
  if (GUESTS) guestsInit();
}

/**
 * Does what is ready and returns when to be called again, in `host.monotonic` ns: a moment that
 * has passed for at once, `NEVER` for not until an interrupt.
 */
export function step(): u64 {
  const at = clockUpdate();
  const woken = idleWake(at);
  if (work(at, woken)) {
    idleWorked(at);
    return at;
  }
  if (!idleShouldSleep(at)) return at;
  idlePrepare(at);
  // A packet that came before its interrupt was on raises none.
  if (work(at, false)) {
    idleStay();
    idleWorked(at);
    return at;
  }
  return idleSleep(at);
}

/** One round over everything; whether it found packets. */
function work(at: u64, woken: bool): bool {
  let found: u32 = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    const taken = device.poll(BURST);
    found += taken;
    if (taken && woken) idleFound(device);
    if (device.receivedLength) netInput(device, at);
  }
  timersAdvance(at);
  appReady();
  if (GUESTS && CONSOLE) consoleCheck(at, woken);
  if (GUESTS && guestsRun()) found++;
  if (netOutput(at)) found++;
  // The loopback has received what it was just sent.
  const own = loopback;
  if (own !== null) found += own.receivedLength;
  return found != 0;
}

function checkDevices(_context: usize, at: u64): void {
  for (let i: u32 = 0; i < deviceCount(); i++) healthCheck(deviceAt(i), at);
  powerCheck();
  mdnsCheck();
  deviceCheck.arm(at + SECOND);
}
