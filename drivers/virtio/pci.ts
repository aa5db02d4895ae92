import {
  mmioMap,
  mmioRead16,
  mmioRead32,
  mmioRead8,
  mmioWrite16,
  mmioWrite32,
  mmioWrite8,
  portIn16,
  portIn32,
  portIn8,
  portOut16,
  portOut32,
  portOut8,
} from "../../kernel/host";
import {
  PciBar,
  PciFunction,
  pciBar,
  pciCapability,
  pciEnable,
  pciEnablePorts,
  pciNextCapability,
  pciRead32,
} from "../pci";
import { Doorbell, QUEUE_MOST, Virtqueue } from "./queue";
import { NO_VECTOR, Transport, write64 } from "./transport";

/**
 * virtio over PCI (Virtual I/O Device 1.2, 4.1). A device says by capabilities which of its BARs
 * holds which of its registers; one from before 1.0 has none of these but a block of ports (4.1.4.10).
 * A transitional device has both and is driven by its capabilities.
 */

/** Vendor-specific capability (PCI 3.0, appendix H), and its fields (4.1.4). */
const CAPABILITY_VENDOR: u32 = 0x09;
const CAP_BAR: u32 = 4;
const CAP_OFFSET: u32 = 8;
const CAP_LENGTH: u32 = 12;
const CAP_NOTIFY_MULTIPLIER: u32 = 16;
/** Which structure it tells of, in the byte behind its length. */
const CAP_COMMON: u32 = 1;
const CAP_NOTIFY: u32 = 2;
const CAP_ISR: u32 = 3;
const CAP_DEVICE: u32 = 4;

/** Common configuration (4.1.4.3), and the bytes of it that are used. */
const DEVICE_FEATURE_SELECT: u32 = 0x00;
const DEVICE_FEATURE: u32 = 0x04;
const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0c;
const CONFIG_MSIX_VECTOR: u32 = 0x10;
const DEVICE_STATUS: u32 = 0x14;
const CONFIG_GENERATION: u32 = 0x15;
const QUEUE_SELECT: u32 = 0x16;
const QUEUE_SIZE: u32 = 0x18;
const QUEUE_MSIX_VECTOR: u32 = 0x1a;
const QUEUE_ENABLE: u32 = 0x1c;
const QUEUE_NOTIFY_OFF: u32 = 0x1e;
const QUEUE_DESC: u32 = 0x20;
const QUEUE_DRIVER: u32 = 0x28;
const QUEUE_DEVICE: u32 = 0x30;
const COMMON_BYTES: u32 = 0x38;

/** Ports of a legacy device (4.1.4.10); with MSI-X two vectors come before the device's own. */
const LEGACY_DEVICE_FEATURES: u32 = 0;
const LEGACY_DRIVER_FEATURES: u32 = 4;
const LEGACY_QUEUE_ADDRESS: u32 = 8;
const LEGACY_QUEUE_SIZE: u32 = 12;
const LEGACY_QUEUE_SELECT: u32 = 14;
const LEGACY_QUEUE_NOTIFY: u32 = 16;
const LEGACY_STATUS: u32 = 18;
const LEGACY_ISR: u32 = 19;
const LEGACY_CONFIG_VECTOR: u32 = 20;
const LEGACY_QUEUE_VECTOR: u32 = 22;
const LEGACY_CONFIG: u32 = 20;
const LEGACY_CONFIG_MSIX: u32 = 24;
/** A legacy queue is known by its page. */
const LEGACY_PAGE_SHIFT: u32 = 12;

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

/** What a capability says: which registers, once mapped. */
let foundAt: usize = 0;
let foundBytes: u32 = 0;
let foundCapability: u32 = 0;

/** Finds a device's registers, `configBytes` of its configuration among them. False if there are none. */
export function virtioPci(t: Transport, entry: PciFunction, configBytes: u32): bool {
  t.vector = NO_VECTOR;
  return modern(t, entry, configBytes) || legacy(t, entry);
}

// ---- Modern (4.1.4) ------------------------------------------------------------------------

function modern(t: Transport, entry: PciFunction, configBytes: u32): bool {
  if (!find(entry, CAP_COMMON, COMMON_BYTES)) return false;
  t.registers = foundAt;
  if (!find(entry, CAP_ISR, 1)) return false;
  t.interrupt = foundAt;
  if (!find(entry, CAP_DEVICE, configBytes)) return false;
  t.config = foundAt;
  if (!find(entry, CAP_NOTIFY, 2)) return false;
  t.doorbells = foundAt;
  t.doorbellBytes = foundBytes;
  t.doorbellStride = pciRead32(entry.address, foundCapability + CAP_NOTIFY_MULTIPLIER);
  pciEnable(entry);
  t.legacy = false;
  t.fixedQueues = false;
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
  return true;
}

/**
 * The first capability for this structure whose registers are at least `bytes` long and can be
 * reached: a device may offer several, the better one first (4.1.4.1).
 */
function find(entry: PciFunction, kind: u32, bytes: u32): bool {
  let at = pciCapability(entry, CAPABILITY_VENDOR);
  for (; at; at = pciNextCapability(entry, at, CAPABILITY_VENDOR)) {
    if (pciRead32(entry.address, at) >>> 24 != kind) continue;
    const index = pciRead32(entry.address, at + CAP_BAR) & 0xff;
    const offset = pciRead32(entry.address, at + CAP_OFFSET);
    const length = pciRead32(entry.address, at + CAP_LENGTH);
    // BAR numbers above 5 are reserved and to be ignored (4.1.4).
    if (index > 5 || length < bytes) continue;
    pciBar(entry, index, bar);
    if (bar.io || !bar.base || <u64>offset + length > bar.size) continue;
    foundAt = mmioMap(bar.base + offset, length);
    if (!foundAt) continue;
    foundBytes = length;
    foundCapability = at;
    return true;
  }
  return false;
}

function status(t: Transport): u32 {
  return mmioRead8(t.registers + DEVICE_STATUS);
}

function setStatus(t: Transport, value: u32): void {
  mmioWrite8(t.registers + DEVICE_STATUS, value);
}

function features(t: Transport): u64 {
  mmioWrite32(t.registers + DEVICE_FEATURE_SELECT, 1);
  const high: u64 = mmioRead32(t.registers + DEVICE_FEATURE);
  mmioWrite32(t.registers + DEVICE_FEATURE_SELECT, 0);
  return (high << 32) | mmioRead32(t.registers + DEVICE_FEATURE);
}

function setFeatures(t: Transport, features: u64): void {
  mmioWrite32(t.registers + DRIVER_FEATURE_SELECT, 0);
  mmioWrite32(t.registers + DRIVER_FEATURE, <u32>features);
  mmioWrite32(t.registers + DRIVER_FEATURE_SELECT, 1);
  mmioWrite32(t.registers + DRIVER_FEATURE, <u32>(features >> 32));
}

function queueSize(t: Transport, index: u32): u32 {
  mmioWrite16(t.registers + QUEUE_SELECT, index);
  return mmioRead16(t.registers + QUEUE_SIZE);
}

function startQueue(t: Transport, queue: Virtqueue): bool {
  const at = t.registers;
  mmioWrite16(at + QUEUE_SELECT, queue.index);
  const offset = mmioRead16(at + QUEUE_NOTIFY_OFF) * t.doorbellStride;
  if (offset + 2 > t.doorbellBytes) return false;
  queue.doorbell = Doorbell.Memory16;
  queue.doorbellAddress = t.doorbells + offset;
  if (t.vector != NO_VECTOR) {
    mmioWrite16(at + CONFIG_MSIX_VECTOR, t.vector);
    mmioWrite16(at + QUEUE_MSIX_VECTOR, t.vector);
    // A device without room for it answers with none (4.1.5.1.2.2).
    if (mmioRead16(at + QUEUE_MSIX_VECTOR) != t.vector) return false;
  }
  mmioWrite16(at + QUEUE_SIZE, queue.size);
  write64(at + QUEUE_DESC, queue.descriptors);
  write64(at + QUEUE_DRIVER, queue.available);
  write64(at + QUEUE_DEVICE, queue.used);
  mmioWrite16(at + QUEUE_ENABLE, 1);
  return true;
}

function cause(t: Transport): u32 {
  return mmioRead8(t.interrupt);
}

/** Fields are read in their own width (4.1.3.1). */
function readConfig(t: Transport, offset: u32, width: u32): u32 {
  const at = t.config + offset;
  return width == 1 ? mmioRead8(at) : width == 2 ? mmioRead16(at) : mmioRead32(at);
}

function generation(t: Transport): u32 {
  return mmioRead8(t.registers + CONFIG_GENERATION);
}

// ---- Legacy (4.1.4.10) -----------------------------------------------------------------------

function legacy(t: Transport, entry: PciFunction): bool {
  pciBar(entry, 0, bar);
  if (!bar.io || !bar.base || bar.size < LEGACY_CONFIG_MSIX) return false;
  t.registers = <usize>bar.base;
  pciEnablePorts(entry);
  t.legacy = true;
  t.fixedQueues = true;
  t.serve(
    legacyStatus,
    legacySetStatus,
    legacyFeatures,
    legacySetFeatures,
    legacyQueueSize,
    legacyStartQueue,
    legacyCause,
    legacyReadConfig,
    legacyGeneration,
  );
  return true;
}


@inline function port(t: Transport, offset: u32): u32 {
  return <u32>t.registers + offset;
}

function legacyStatus(t: Transport): u32 {
  return portIn8(port(t, LEGACY_STATUS));
}

function legacySetStatus(t: Transport, value: u32): void {
  portOut8(port(t, LEGACY_STATUS), value);
}

function legacyFeatures(t: Transport): u64 {
  return portIn32(port(t, LEGACY_DEVICE_FEATURES));
}

function legacySetFeatures(t: Transport, features: u64): void {
  portOut32(port(t, LEGACY_DRIVER_FEATURES), <u32>features);
}

function legacyQueueSize(t: Transport, index: u32): u32 {
  portOut16(port(t, LEGACY_QUEUE_SELECT), index);
  const size = portIn16(port(t, LEGACY_QUEUE_SIZE));
  return size <= QUEUE_MOST ? size : 0;
}

/** The queue has the device's own size, which cannot be changed. */
function legacyStartQueue(t: Transport, queue: Virtqueue): bool {
  portOut16(port(t, LEGACY_QUEUE_SELECT), queue.index);
  queue.doorbell = Doorbell.Port16;
  queue.doorbellAddress = port(t, LEGACY_QUEUE_NOTIFY);
  if (t.vector != NO_VECTOR) {
    portOut16(port(t, LEGACY_CONFIG_VECTOR), t.vector);
    portOut16(port(t, LEGACY_QUEUE_VECTOR), t.vector);
    if (portIn16(port(t, LEGACY_QUEUE_VECTOR)) != t.vector) return false;
  }
  portOut32(port(t, LEGACY_QUEUE_ADDRESS), <u32>(queue.descriptors >> LEGACY_PAGE_SHIFT));
  return true;
}

function legacyCause(t: Transport): u32 {
  return portIn8(port(t, LEGACY_ISR));
}

function legacyReadConfig(t: Transport, offset: u32, width: u32): u32 {
  const start = t.vector == NO_VECTOR ? LEGACY_CONFIG : LEGACY_CONFIG_MSIX;
  const at = port(t, start + offset);
  return width == 1 ? portIn8(at) : width == 2 ? portIn16(at) : portIn32(at);
}

function legacyGeneration(_t: Transport): u32 {
  return 0;
}
