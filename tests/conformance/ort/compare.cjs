// compare.cjs IMAGES.idx.gz TOLERANCE SAME (MODEL SCORES)...: runs ONNX Runtime on all images, each pixel
// divided by 255, and compares its output with the raw float32 scores that bench_engine wrote.
//
// An image agrees when |ours - theirs| <= TOLERANCE * max |theirs| over its scores for each of them:
// a logit near zero is the difference of large terms, so the error is relative to the image's
// largest logit. Exits 1 when an image does not agree or holds a NaN, or fewer than SAME (0 to 1) of
// them get the same class.
'use strict';
const fs = require('fs');
const path = require('path');
const { readImages } = require('./idx.cjs');
// Installed beside the build, not beside this file.
const ort = require(path.resolve('node_modules', 'onnxruntime-node'));

const BATCH = 500;

async function referenceScores(model, images) {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 2 });
  const size = images.height * images.width;
  const rows = [];
  for (let first = 0; first < images.count; first += BATCH) {
    const count = Math.min(BATCH, images.count - first);
    const data = images.values.subarray(first * size, (first + count) * size);
    const input = new ort.Tensor('float32', data, [count, 1, images.height, images.width]);
    const output = await session.run({ [session.inputNames[0]]: input });
    rows.push(output[session.outputNames[0]].data);
  }
  await session.release();
  return rows;
}

function argMax(scores) {
  return scores.reduce((best, score, index) => (score > scores[best] ? index : best), 0);
}

function compare(model, images, reference, ours, tolerance, leastSame) {
  const classes = ours.length / images.count;
  const total = reference.reduce((sum, rows) => sum + rows.length, 0);
  if (total !== ours.length) throw new Error(`${model}: ${ours.length} scores, expected ${total}`);
  let worst = { error: 0, image: 0 };
  let sameClass = 0;
  let failed = 0;
  for (let image = 0; image < images.count; ++image) {
    const offset = (image % BATCH) * classes;
    const theirs = reference[Math.floor(image / BATCH)].subarray(offset, offset + classes);
    const mine = ours.subarray(image * classes, (image + 1) * classes);
    const largest = theirs.reduce((m, value) => Math.max(m, Math.abs(value)), 0);
    let error = 0;
    for (let k = 0; k < classes; ++k) {
      const difference = Math.abs(mine[k] - theirs[k]) / largest;
      if (!(difference <= error)) error = difference;
    }
    if (!(error <= tolerance)) ++failed;
    if (!(error <= worst.error)) worst = { error, image };
    if (argMax(mine) === argMax(theirs)) ++sameClass;
  }
  const agreed = failed === 0 && sameClass >= leastSame * images.count;
  console.log(
    `${!agreed ? 'FAIL' : 'ok  '} ${path.basename(model)}: ${images.count} images, ` +
      `largest relative error ${worst.error.toExponential(2)} (image ${worst.image}), ` +
      `same class ${sameClass}/${images.count}, beyond ${tolerance}: ${failed}`,
  );
  return agreed;
}

async function main([imageFile, tolerance, leastSame, ...pairs]) {
  const { pixels, ...images } = readImages(imageFile);
  images.values = Float32Array.from(pixels, (pixel) => Math.fround(pixel / 255));
  console.log(`ONNX Runtime ${ort.env.versions.node ?? ort.env.versions.common}`);
  let agreed = pairs.length > 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const bytes = fs.readFileSync(pairs[i + 1]);
    const ours = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const reference = await referenceScores(pairs[i], images);
    const one = compare(pairs[i], images, reference, ours, Number(tolerance), Number(leastSame));
    agreed = one && agreed;
  }
  process.exitCode = agreed ? 0 : 1;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
