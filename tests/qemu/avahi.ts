import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TAP } from "../../tools/qemu/namespace.ts";

/** A command that runs avahi as the host `name` behind the TAP of a namespace, with a /run of its own. */
export function avahiCommand(folder: string, name: string): string[] {
  const file = join(folder, `${name}.conf`);
  const lines = [
    ...["[server]", `host-name=${name}`, "use-ipv6=no", `allow-interfaces=${TAP}`],
    ...["enable-dbus=no", "[publish]", "publish-workstation=no", "publish-hinfo=no"],
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const daemon = `avahi-daemon --no-drop-root --no-chroot --no-rlimits -f ${file}`;
  const run = "mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon";
  return ["unshare", "--mount", "sh", "-c", `${run} && exec ${daemon}`];
}
