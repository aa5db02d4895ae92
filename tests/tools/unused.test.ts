/** What an image carries of the kernel goes by its program, and by the words that it will be started with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { unusedByApp, unusedByGuests, unusedByWords } from "../../tools/cli/unused.ts";
import { GuestCall } from "../../kernel/guest/calls.ts";

test("what only a word asks for is there if it stands among them", () => {
  assert.deepEqual(unusedByWords(""), ["DHCPD", "RARP", "POLICY"]);
  const pool = "dhcpd=eth0,10.0.0.2-10.0.0.9";
  assert.deepEqual(unusedByWords(`ip=10.0.0.1/24 ${pool}`), ["RARP", "POLICY"]);
  const route = "route=0.0.0.0/0,10.0.0.1";
  for (const word of ["rule=prohibit", `${route},table=7`, `${route},5,src=10.0.0.3`]) {
    assert.deepEqual(unusedByWords(`${pool} ip=rarp ${word}`), []);
  }
  assert.deepEqual(unusedByWords(`nodhcpd=eth0 ip=rarpish ${route},5`), [
    "DHCPD",
    "RARP",
    "POLICY",
  ]);
});

test("names are validated for who asks for names, if a word or the program says so", () => {
  const asks = { header: `guest_call(${GuestCall.resolve}u)` };
  for (const word of ["dnssec=on", "dnssec=strict", "dns=iterative"]) {
    assert.ok(!unusedByGuests([asks], `ip=dhcp ${word}`).includes("DNSSEC"), word);
    assert.ok(unusedByGuests([{ header: "" }], word).includes("DNSSEC"), word);
  }
  assert.ok(unusedByGuests([asks], "dnssec=off dns=10.0.0.1").includes("DNSSEC"));
});

test("an app without names has neither them nor what validates them", () => {
  assert.deepEqual(unusedByApp(["apps/http/main.ts"], "dnssec=on"), [
    "GUESTS",
    "NAMES",
    "DNSSEC",
    "SOURCES",
  ]);
  const asks = ["kernel/main.ts"];
  assert.deepEqual(unusedByApp(asks, ""), ["GUESTS", "DNSSEC", "SOURCES"]);
  assert.deepEqual(unusedByApp(asks, "dnssec=on"), ["GUESTS", "SOURCES"]);
});
