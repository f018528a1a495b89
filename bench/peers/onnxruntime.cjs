// onnxruntime.cjs: ONNX Runtime as a contender, with the arguments and the line protocol of
// ../contender.hpp. The images are given as ../peers/images.hpp says.
//
// The way through Node costs some microseconds a call, which counts at batch 1: no package brings the
// headers of its C interface.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { readImages } = require('../../tests/conformance/ort/idx.cjs');
// Installed in the folder that this runs in, not beside this file.
const ort = require(path.resolve('node_modules', 'onnxruntime-node'));

async function main([model, imageFile, threads]) {
  const { count, height, width, pixels } = readImages(imageFile);
  const values = Float32Array.from(pixels, (pixel) => Math.fround(pixel / 255));
  const size = height * width;
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
  });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  const feed = (first, batch) => ({
    [input]: new ort.Tensor('float32', values.subarray(first * size, (first + batch) * size), [
      batch, 1, height, width,
    ]),
  });

  async function scores(batch, file) {
    const target = fs.openSync(file, 'w');
    for (let first = 0; first < count; first += batch) {
      const results = await session.run(feed(first, Math.min(batch, count - first)));
      const { data } = results[output];
      fs.writeSync(target, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
    fs.closeSync(target);
    return { images: count };
  }

  async function run(batch, seconds) {
    const feeds = [];
    for (let first = 0; first + batch <= count; first += batch) feeds.push(feed(first, batch));
    if (feeds.length === 0) throw new Error('batch out of range');
    let next = 0;
    const runFor = async (nanoseconds, latencies) => {
      const start = process.hrtime.bigint();
      let before = start;
      do {
        await session.run(feeds[next]);
        next = (next + 1) % feeds.length;
        const now = process.hrtime.bigint();
        latencies.push(Number(now - before) / 1e3);
        before = now;
      } while (Number(before - start) < nanoseconds);
      return Number(before - start) / 1e9;
    };
    await runFor((seconds / 4) * 1e9, []);
    const latencies = [];
    const elapsed = await runFor(seconds * 1e9, latencies);
    latencies.sort((a, b) => a - b);
    const percentile = (fraction) => latencies[Math.floor((latencies.length - 1) * fraction)];
    return {
      images_per_s: (latencies.length * batch) / elapsed,
      p50_us: percentile(0.5),
      p99_us: percentile(0.99),
    };
  }

  const version = ort.env.versions.node ?? ort.env.versions.common;
  console.log(JSON.stringify({ name: 'ONNX Runtime', version }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [, command, batch, rest] = /^(run|scores) (\d+) (.+)$/.exec(line) ?? [];
    if (!command) throw new Error(`'${line}': expected run BATCH SECONDS or scores BATCH FILE`);
    const answer =
      command === 'run' ? await run(Number(batch), Number(rest)) : await scores(Number(batch), rest);
    console.log(JSON.stringify(answer));
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`onnxruntime.cjs: ${error.message}`);
  process.exitCode = 1;
});
