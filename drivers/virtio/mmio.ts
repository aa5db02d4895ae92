import { mmioMap, mmioRead16, mmioRead32, mmioRead8, mmioWrite32 } from "../../kernel/host";
import { Doorbell, QUEUE_ALIGN, Virtqueue } from "./queue";
import { NO_VECTOR, Transport, write64 } from "./transport";

/**
 * virtio over memory-mapped registers (Virtual I/O Device 1.2, 4.2): version 2, and version 1, which
 * QEMU offers unless told otherwise (4.2.4).
 */

/** Registers (4.2.2), and those of version 1 alone (4.2.4). */
const MAGIC: u32 = 0x000;
const MAGIC_VALUE: u32 = 0x7472_6976;
const VERSION: u32 = 0x004;
const DEVICE_ID: u32 = 0x008;
const DEVICE_FEATURES: u32 = 0x010;
const DEVICE_FEATURES_SEL: u32 = 0x014;
const DRIVER_FEATURES: u32 = 0x020;
const DRIVER_FEATURES_SEL: u32 = 0x024;
const V1_GUEST_PAGE_SIZE: u32 = 0x028;
const QUEUE_SEL: u32 = 0x030;
const QUEUE_NUM_MAX: u32 = 0x034;
const QUEUE_NUM: u32 = 0x038;
const V1_QUEUE_ALIGN: u32 = 0x03c;
const V1_QUEUE_PFN: u32 = 0x040;
const QUEUE_READY: u32 = 0x044;
const QUEUE_NOTIFY: u32 = 0x050;
const INTERRUPT_STATUS: u32 = 0x060;
const INTERRUPT_ACK: u32 = 0x064;
const STATUS: u32 = 0x070;
const QUEUE_DESC: u32 = 0x080;
const QUEUE_DRIVER: u32 = 0x090;
const QUEUE_DEVICE: u32 = 0x0a0;
const CONFIG_GENERATION: u32 = 0x0fc;
const CONFIG: u32 = 0x100;

/** Bytes of registers, without the device's configuration. */
export const MMIO_REGISTERS: u32 = CONFIG;

/** What is behind `virtioMmioProbe`'s address. */
const NONE: u32 = 0;

/** The kind of device at a physical address (5: 1 is a network card), 0 for none. */
export function virtioMmioProbe(physical: u64, length: u32): u32 {
  const at = mmioMap(physical, length);
  if (!at || length < CONFIG || mmioRead32(at + MAGIC) != MAGIC_VALUE) return NONE;
  const version = mmioRead32(at + VERSION);
  return version == 1 || version == 2 ? mmioRead32(at + DEVICE_ID) : NONE;
}

/** Takes a device that `virtioMmioProbe` has found. */
export function virtioMmio(t: Transport, physical: u64, length: u32): void {
  const at = mmioMap(physical, length);
  t.registers = at;
  t.vector = NO_VECTOR;
  t.fixedQueues = false;
  t.legacy = mmioRead32(at + VERSION) == 1;
  t.serve(
    status,
    setStatus,
    features,
    setFeatures,
    queueSize,
    startQueue,
    cause,
    readConfig,
    generation,
  );
}

function status(t: Transport): u32 {
  return mmioRead32(t.registers + STATUS);
}

function setStatus(t: Transport, value: u32): void {
  mmioWrite32(t.registers + STATUS, value);
}

function features(t: Transport): u64 {
  mmioWrite32(t.registers + DEVICE_FEATURES_SEL, 0);
  const low: u64 = mmioRead32(t.registers + DEVICE_FEATURES);
  if (t.legacy) return low;
  mmioWrite32(t.registers + DEVICE_FEATURES_SEL, 1);
  return low | ((<u64>mmioRead32(t.registers + DEVICE_FEATURES)) << 32);
}

function setFeatures(t: Transport, features: u64): void {
  mmioWrite32(t.registers + DRIVER_FEATURES_SEL, 0);
  mmioWrite32(t.registers + DRIVER_FEATURES, <u32>features);
  if (t.legacy) return;
  mmioWrite32(t.registers + DRIVER_FEATURES_SEL, 1);
  mmioWrite32(t.registers + DRIVER_FEATURES, <u32>(features >> 32));
}

function queueSize(t: Transport, index: u32): u32 {
  mmioWrite32(t.registers + QUEUE_SEL, index);
  return mmioRead32(t.registers + QUEUE_NUM_MAX);
}

function startQueue(t: Transport, queue: Virtqueue): bool {
  const at = t.registers;
  queue.doorbell = Doorbell.Memory32;
  queue.doorbellAddress = at + QUEUE_NOTIFY;
  if (t.legacy) mmioWrite32(at + V1_GUEST_PAGE_SIZE, QUEUE_ALIGN);
  mmioWrite32(at + QUEUE_SEL, queue.index);
  mmioWrite32(at + QUEUE_NUM, queue.size);
  if (t.legacy) {
    mmioWrite32(at + V1_QUEUE_ALIGN, QUEUE_ALIGN);
    mmioWrite32(at + V1_QUEUE_PFN, <u32>(queue.descriptors / QUEUE_ALIGN));
    return true;
  }
  write64(at + QUEUE_DESC, queue.descriptors);
  write64(at + QUEUE_DRIVER, queue.available);
  write64(at + QUEUE_DEVICE, queue.used);
  mmioWrite32(at + QUEUE_READY, 1);
  return true;
}

function cause(t: Transport): u32 {
  const causes = mmioRead32(t.registers + INTERRUPT_STATUS);
  if (causes) mmioWrite32(t.registers + INTERRUPT_ACK, causes);
  return causes;
}

function readConfig(t: Transport, offset: u32, width: u32): u32 {
  const at = t.registers + CONFIG + offset;
  return width == 1 ? mmioRead8(at) : width == 2 ? mmioRead16(at) : mmioRead32(at);
}

function generation(t: Transport): u32 {
  return t.legacy ? 0 : mmioRead32(t.registers + CONFIG_GENERATION);
}
