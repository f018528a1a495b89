// onnxruntime.cjs MODEL IMAGES.idx[.gz] BATCH THREADS SECONDS [SCORES]: what bench_engine measures,
// with ONNX Runtime in its place, and one more field: version.
//
// The images are given as float32, divided by 255 before the clock starts: that step, which our own
// figure includes, is free here. The way through Node costs some microseconds a call, which counts
// at batch 1.
'use strict';
const fs = require('fs');
const path = require('path');
const { readImages } = require('../../tests/conformance/ort/idx.cjs');
// Installed in the folder that this runs in, not beside this file.
const ort = require(path.resolve('node_modules', 'onnxruntime-node'));

const SCORE_BATCH = 500;

async function main([model, imageFile, batchText, threads, seconds, scores]) {
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
  if (scores) {
    const file = fs.openSync(scores, 'w');
    for (let first = 0; first < count; first += SCORE_BATCH) {
      const results = await session.run(feed(first, Math.min(SCORE_BATCH, count - first)));
      const { data } = results[output];
      fs.writeSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
    fs.closeSync(file);
  }

  const batch = Number(batchText);
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
  await runFor((Number(seconds) / 4) * 1e9, []);
  const latencies = [];
  const elapsed = await runFor(Number(seconds) * 1e9, latencies);
  const images = latencies.length * batch;
  latencies.sort((a, b) => a - b);
  const percentile = (fraction) => latencies[Math.floor((latencies.length - 1) * fraction)];
  console.log(
    JSON.stringify({
      images,
      seconds: elapsed,
      images_per_s: images / elapsed,
      p50_us: percentile(0.5),
      p99_us: percentile(0.99),
      version: ort.env.versions.node ?? ort.env.versions.common,
    }),
  );
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`onnxruntime.cjs: ${error.message}`);
  process.exitCode = 1;
});
