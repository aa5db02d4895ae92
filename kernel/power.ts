import { DeviceState, Feature, deviceAt, deviceCount } from "../drivers/device";
import { deviceUnload } from "../drivers/manager";
import { netEnd, netLeave } from "../net/stack";
import { acpiLength, acpiTable } from "./acpi";
import { clockUpdate, now } from "./clock";
import { exit, portIn16, portOut16, portOut8, restart } from "./host";
import { info } from "./log";
import { MILLISECOND, Timer } from "./timer";

/**
 * The orderly end of the machine, and the button that asks for it.
 *
 * The button is ACPI's fixed one (ACPI Specification 6.4, 4.8.2.2.1), which needs no AML: a status bit.
 * It is looked at once a second; the interrupt that it raises is not waited for. Machines whose
 * button is described in AML alone have none here.
 */

/** How `powerDown` ends the machine. */
export const enum Power {
  Off = 0,
  Restart = 1,
}

/** "FACP", and what of that table is read (5.2.9). */
const FADT: u32 = 0x5043_4146;
const SMI_CMD: u32 = 48;
const ACPI_ENABLE: u32 = 52;
const PM1A_EVT_BLK: u32 = 56;
const PM1A_CNT_BLK: u32 = 64;
const PM1_EVT_LEN: u32 = 88;
const FLAGS: u32 = 112;
const FADT_BYTES: u32 = 116;
const PWR_BUTTON: u32 = 1 << 4;
const HW_REDUCED_ACPI: u32 = 1 << 20;

/** PM1 status and enable registers (4.8.3.1), control register (4.8.3.2.1). */
const PWRBTN: u32 = 1 << 8;
const SCI_EN: u32 = 1;

/** Time for answers under way to leave, and then for leases to be given back. */
const GRACE: u64 = 100 * MILLISECOND;
const LEAVING: u64 = 20 * MILLISECOND;

let status: u32 = 0;
let pressed: bool = false;
let way: Power = Power.Off;
let left: bool = false;
const last = changetype<Timer>(memory.data(offsetof<Timer>(), 8));

/** Finds the button. After `memoryInit`. */
export function powerInit(): void {
  last.init(end, 0);
  const fadt = acpiTable(FADT);
  if (!fadt || acpiLength(fadt) < FADT_BYTES) return;
  if (load<u32>(fadt, FLAGS) & (PWR_BUTTON | HW_REDUCED_ACPI)) return;
  const events = load<u32>(fadt, PM1A_EVT_BLK);
  const control = load<u32>(fadt, PM1A_CNT_BLK);
  const length = <u32>load<u8>(fadt, PM1_EVT_LEN);
  if (!events || !control || events > 0xfff0 || control > 0xfff0 || length < 4) return;
  // Until the firmware is told, the button is its own business (4.8.2.1).
  const command = load<u32>(fadt, SMI_CMD);
  const enable = <u32>load<u8>(fadt, ACPI_ENABLE);
  if (!(portIn16(control) & SCI_EN) && enable && command && command < 0x10000) {
    portOut8(command, enable);
  }
  status = events;
  portOut16(status, PWRBTN); // a bit is cleared by writing it
  const enabled = status + (length >> 1);
  portOut16(enabled, portIn16(enabled) | PWRBTN);
}

/** Once a second: was the button pressed? */
export function powerCheck(): void {
  if (!status || pressed || !(portIn16(status) & PWRBTN)) return;
  pressed = true;
  portOut16(status, PWRBTN);
  info("power").text("button pressed").end();
  powerDown(Power.Off);
}

/** The host's own button: asks for the orderly end, once. It follows in the steps from then on. */
export function powerOff(): void {
  if (pressed) return;
  pressed = true;
  clockUpdate();
  powerDown(Power.Off);
}

/** Ends the machine as `how` says, when what is under way has had a moment to leave. */
export function powerDown(how: Power): void {
  way = how;
  netEnd();
  // Who comes again at once wants the same addresses.
  left = how == Power.Restart;
  last.arm(now() + GRACE);
}

function end(_context: usize, at: u64): void {
  if (!left) {
    left = true;
    if (netLeave()) return last.arm(at + LEAVING);
  }
  info("power")
    .text(way == Power.Restart ? "restarting" : "switching off")
    .end();
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    const runs = device.state == DeviceState.Running && !(device.features & Feature.Virtual);
    if (runs) deviceUnload(device);
  }
  if (way == Power.Restart) restart();
  else exit(0);
}
