// Reads a QR code as a phone does, and prints what stands in it.
import { readFileSync } from "node:fs";
import jsQR from "jsqr";
import { PNG } from "pngjs";

const picture = PNG.sync.read(readFileSync(process.argv[2]));
const code = jsQR(new Uint8ClampedArray(picture.data), picture.width, picture.height);
if (!code) throw new Error("there is no QR code in the picture");
console.log(code.data);
