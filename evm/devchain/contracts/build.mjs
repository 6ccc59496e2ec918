// Compiles the contracts of this folder into the .bin files beside them (runtime code, hex).
// The output depends on nothing but the sources and the pinned compiler: run it twice, diff nothing.
//   npm ci --ignore-scripts && npm run build
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const here = (name) => new URL(name, import.meta.url);
const names = ["TestUSDC", "Multicall3", "OwnedWallet"];
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((n) => [`${n}.sol`, { content: readFileSync(here(`${n}.sol`), "utf8") }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 10_000 },
    viaIR: true,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.deployedBytecode.object", "storageLayout"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const e of output.errors ?? []) console.error(e.formattedMessage);
if (output.errors?.some((e) => e.severity === "error")) process.exit(1);
for (const name of names) {
  const contract = output.contracts[`${name}.sol`][name];
  writeFileSync(here(`${name}.bin`), contract.evm.deployedBytecode.object + "\n");
  const slots = contract.storageLayout.storage.map((s) => `${s.slot}:${s.label}`).join(" ");
  console.log(`${name}: ${contract.evm.deployedBytecode.object.length / 2} bytes, slots ${slots}`);
}
