import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { Failure, project } from "../cli/project.ts";
import { Machine } from "./machine.ts";

/** Whether KVM is of use here: the only proof is a 64-bit guest that runs. */

export const ACCELS = ["auto", "tcg", "kvm"] as const;
export type Accel = (typeof ACCELS)[number];

/** A machine whose KVM works prints its first line within a few hundred ms. */
const PROBE_MS = 4000;

/** Why KVM cannot be used to boot `image`, or null if it can. */
async function kvmTrouble(image: string): Promise<string | null> {
  if (process.arch !== "x64") return `the host is ${process.arch}`;
  if (!existsSync("/dev/kvm")) return "/dev/kvm does not exist";
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return "/dev/kvm may not be opened by this user (group kvm)";
  }
  // What was found holds until the host boots anew.
  const cache = project("build", "kvm.json");
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  if (existsSync(cache)) {
    const last = JSON.parse(readFileSync(cache, "utf8")) as {
      bootId: string;
      trouble: string | null;
    };
    if (last.bootId === bootId) return last.trouble;
  }
  const machine = Machine.start({ kernel: image, accel: "kvm", memory: 64, network: null });
  let trouble: string | null = null;
  try {
    await machine.waitFor(/\S.*\n/, PROBE_MS);
  } catch {
    const said = machine.complaints.trim().split("\n").at(-1);
    trouble = machine.ending
      ? `QEMU ended: ${said || `status ${machine.ending.code}`}`
      : `it starts, but a 64-bit guest did not run within ${PROBE_MS / 1000} s`;
  } finally {
    await machine.stop();
  }
  writeFileSync(cache, JSON.stringify({ bootId, trouble }));
  return trouble;
}

/** What to give QEMU for the accelerator asked for; `say` gets one line when auto falls back. */
export async function chooseAccel(
  wanted: Accel,
  image: string,
  say: (line: string) => void,
): Promise<"tcg" | "kvm"> {
  if (wanted === "tcg") return "tcg";
  const trouble = await kvmTrouble(image);
  if (!trouble) return "kvm";
  if (wanted === "kvm") throw new Failure(`ACCEL=kvm: KVM is of no use here: ${trouble}`);
  say(`KVM is of no use here (${trouble}): emulating with TCG`);
  return "tcg";
}
