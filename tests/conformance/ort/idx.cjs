// Reads an IDX file of u8 images, gzipped or not.
'use strict';
const fs = require('fs');
const zlib = require('zlib');

function readImages(file) {
  let bytes = fs.readFileSync(file);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = zlib.gunzipSync(bytes);
  if (bytes.readUInt32BE(0) !== 0x00000803) throw new Error(`${file}: no IDX file of u8 images`);
  const [count, height, width] = [4, 8, 12].map((offset) => bytes.readUInt32BE(offset));
  const pixels = bytes.subarray(16);
  if (pixels.length !== count * height * width) throw new Error(`${file}: truncated`);
  return { count, height, width, pixels };
}

module.exports = { readImages };
