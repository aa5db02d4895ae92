export { HostedMachine, PROGRAM } from "../../tools/hosted/machine.ts";
