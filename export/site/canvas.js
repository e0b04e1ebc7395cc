// A photo on the canvas that a TFLite file sees, and its outputs back on the photo: what export/artifact/preprocess.py,
// tfrecog/data/image_numpy.py and tfrecog/ops/pasting.py do, with the same roundings. A photo is {data, size}: its pixels
// RGBA and [height, width]. `given` is the `input` of the model's metadata.
const f32 = Math.fround;

// {image, size, photo}: the canvas as [H, W, 3] of the type that the model takes, how many of its rows and columns are
// photo, and the size of the photo.
function place(photo, given, by) {
  const canvas = given.size, resize = by === "pillow" ? pillow : bilinear;
  // It rounds halves to the even number, as NumPy does.
  const image = new (given.dtype === "uint8" ? Uint8ClampedArray : Float32Array)(3 * canvas[0] * canvas[1]);
  let size = canvas, resized = canvas, corner = [0, 0];
  if (given.fit === "middle") {
    const least = Math.min(...photo.size);
    resized = photo.size.map(side => Math.floor(side * given.short_side / least));
    corner = resized.map((side, axis) => even((side - canvas[axis]) / 2));
  } else if (given.fit === "pad") {
    const factor = Math.min(canvas[0] / photo.size[0], canvas[1] / photo.size[1]);
    size = resized = photo.size.map((side, axis) =>
      Math.min(Math.max(Math.floor(side * factor + 0.5), 1), canvas[axis]));
  }
  resize(photo, resized, corner, size, image, canvas[1]);
  return {image: given.dtype === "uint8" ? new Uint8Array(image.buffer) : image, size, photo: photo.size};
}

function even(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
}

// Writes the part of `size` from a corner on of a resized photo to the top left of an image that is so wide.
function bilinear({data, size: [rows, columns]}, resized, [top, left], size, image, width) {
  const down = readings(rows, resized[0]), across = readings(columns, resized[1]);
  for (let r = 0; r < size[0]; r++) {
    const one = 4 * columns * down.first[top + r], two = 4 * columns * down.second[top + r], dy = down.past[top + r];
    for (let c = 0; c < size[1]; c++) {
      const here = 4 * across.first[left + c], next = 4 * across.second[left + c], dx = across.past[left + c];
      for (let k = 0; k < 3; k++) {
        const a = data[one + here + k], b = data[two + here + k];
        const upper = f32(a + f32((data[one + next + k] - a) * dx));
        const lower = f32(b + f32((data[two + next + k] - b) * dx));
        image[3 * (r * width + c) + k] = f32(upper + f32(f32(lower - upper) * dy));
      }
    }
  }
}

// For each of so many pixels the two of `length` that it lies between, and how far from the first.
function readings(length, pixels) {
  const scale = f32(length / pixels);
  const first = new Int32Array(pixels), second = new Int32Array(pixels), past = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = f32(f32((i + 0.5) * scale) - 0.5), low = Math.floor(at);
    first[i] = Math.max(low, 0);
    second[i] = Math.min(Math.ceil(at), length - 1);
    past[i] = at - low;
  }
  return {first, second, past};
}

// The same by Pillow's filter BILINEAR (its Resample.c): across and then down, each to whole numbers.
function pillow({data, size: [rows, columns]}, resized, [top, left], size, image, width) {
  const across = filters(columns, resized[1]), down = filters(rows, resized[0]);
  const halfway = new Uint8Array(3 * rows * size[1]);
  for (let r = 0; r < rows; r++) for (let c = 0; c < size[1]; c++) {
    const {first, weights} = across[left + c];
    for (let k = 0; k < 3; k++) {
      let sum = 2 ** 21;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * data[4 * (r * columns + first + i) + k];
      halfway[3 * (r * size[1] + c) + k] = clipped(sum);
    }
  }
  for (let r = 0; r < size[0]; r++) {
    const {first, weights} = down[top + r];
    for (let c = 0; c < 3 * size[1]; c++) {
      let sum = 2 ** 21;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * halfway[3 * (first + i) * size[1] + c];
      image[3 * r * width + c] = clipped(sum);
    }
  }
}

const clipped = sum => Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255);

function filters(length, pixels) {
  const scale = length / pixels, reach = Math.max(scale, 1);
  return Array.from({length: pixels}, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), length);
    const tents = Array.from({length: end - first}, (_, j) =>
      Math.max(1 - Math.abs((j + first - centre + 0.5) / reach), 0));
    const sum = tents.reduce((a, b) => a + b, 0);
    return {first, weights: tents.map(one => Math.trunc(0.5 + one / sum * 2 ** 22))};
  });
}

// What is answered of a placed photo, in the form of the server's V1 predictions, from outputs by name as flat arrays.
function answerOf(outputs, placed, about) {
  const answer = {image_size: placed.photo}, classes = about.classes.length;
  const most = (outputs.labels || outputs.detection_classes || []).reduce((a, b) => Math.max(a, b), 0);
  if (most > classes) throw new Error("the model found the class " + most + ", and it has " + classes);
  if (about.task === "classification") {
    const best = Array.from(outputs.scores.keys()).sort((a, b) => outputs.scores[b] - outputs.scores[a] || a - b);
    answer.classes = best.slice(0, 5).map(i => about.classes[i].name);
    answer.class_scores = best.slice(0, 5).map(i => outputs.scores[i]);
  } else if (about.task === "segmentation") {
    answer.labels = labelMap(outputs.labels, placed, about.input.size[1]);
  } else {
    Object.assign(answer, detections(outputs, placed, about));
  }
  return answer;
}

// Labels of the photo's pixels, a row each: that of the canvas' pixel in which its centre lies.
function labelMap(labels, {size, photo}, width) {
  const [rows, columns] = photo.map((side, axis) => Int32Array.from({length: side}, (_, i) =>
    Math.min(Math.trunc((i + 0.5) * (size[axis] / side)), size[axis] - 1)));
  return Array.from(rows, row => Uint8Array.from(columns, column => labels[row * width + column]));
}

// The filled slots, moved to the photo and cut to its size.
function detections(outputs, {size, photo}, about) {
  const scale = size.map((side, axis) => f32(side / photo[axis]));
  const slots = Array.from({length: outputs.num_detections[0]}, (_, i) => i)
    .filter(i => outputs.detection_classes[i] > 0 && outputs.detection_scores[i] > about.min_score);
  const total = outputs.detection_scores.length, part = (values, i) => {
    const length = values.length / total;
    return values.subarray(i * length, (i + 1) * length);
  };
  const found = {
    detection_boxes: slots.map(i => Array.from(part(outputs.detection_boxes, i), (value, side) =>
      Math.min(Math.max(f32(value / scale[side % 2]), 0), photo[side % 2]))),
    detection_classes: slots.map(i => outputs.detection_classes[i]),
    detection_class_names: slots.map(i => about.classes[outputs.detection_classes[i] - 1].name),
    detection_scores: slots.map(i => outputs.detection_scores[i]),
  };
  if (outputs.detection_masks) {
    const mask = (i, n) => runs(part(outputs.detection_masks, i), found.detection_boxes[n], photo, about);
    found.detection_masks = slots.map((i, n) => ({size: photo, counts: mask(i, n)}));
  }
  if (outputs.detection_keypoints) found.detection_keypoints = slots.map(i => {
    const values = part(outputs.detection_keypoints, i), moved = axis => value =>
      f32(f32(value / scale[axis]) + about.keypoint_shift);
    return Array.from({length: values.length / 3}, (_, j) =>
      [moved(0)(values[3 * j]), moved(1)(values[3 * j + 1]), values[3 * j + 2]]);
  });
  return found;
}

// COCO's run lengths, as numbers, of a mask [S, S] in its box of a photo.
function runs(mask, box, [height, width], {paste, mask_threshold}) {
  const cells = Math.sqrt(mask.length), read = paste === "detectron2" ? atCentres : stretched;
  const down = read(box[0], box[2], height, cells), across = read(box[1], box[3], width, cells);
  const reaches = paste === "detectron2" ? value => value >= mask_threshold : value => value > mask_threshold;
  const cell = (y, x) => y < 0 || x < 0 || y >= cells || x >= cells ? 0 : mask[y * cells + x];
  const counts = [], bottom = down.first + down.at.length;
  let begun = 0, on = false;
  const turn = place => { counts.push(place - begun); begun = place; on = !on; };
  across.at.forEach((atX, i) => {
    const column = (across.first + i) * height, x = Math.floor(atX), dx = atX - x;
    down.at.forEach((atY, j) => {
      const y = Math.floor(atY), dy = atY - y;
      const left = (1 - dy) * cell(y, x) + dy * cell(y + 1, x);
      const right = dx ? (1 - dy) * cell(y, x + 1) + dy * cell(y + 1, x + 1) : 0;
      if (reaches((1 - dx) * left + dx * right) !== on) turn(column + down.first + j);
    });
    if (on && down.at.length < height) turn(column + bottom);
  });
  counts.push(height * width - begun);
  return counts;
}

// The first of an axis' pixels that a box reaches, and where in its cells each of them from there on reads.
function stretched(start, end, length, cells) {
  // Of a mask with a border of zeros, torchvision's rule: the box grows with it and is cut to whole pixels.
  const half = f32(f32(f32(end - start) * 0.5) * f32((cells + 2) / cells)), centre = f32(f32(end + start) * 0.5);
  const low = Math.trunc(f32(centre - half)), extent = Math.max(Math.trunc(f32(centre + half)) - low + 1, 1);
  const first = Math.max(low, 0), count = Math.max(Math.min(low + extent, length) - first, 0);
  const at = i => f32(f32((first + i - low + 0.5) * f32((cells + 2) / extent)) - 0.5);
  return {first, at: Array.from({length: count}, (_, i) => Math.min(Math.max(at(i), 0), cells + 1) - 1)};
}

function atCentres(start, end, length, cells) {
  if (!(end > start)) return {first: 0, at: []};
  const half = 0.5 * (end - start) / cells, cut = edge => Math.min(Math.max(Math.trunc(edge), 0), length);
  const first = cut(start - half), count = Math.max(cut(Math.ceil(end + half)) - first, 0);
  const at = i => f32(f32(f32(f32(first + i + 0.5) - start) / f32(end - start)) * cells) - 0.5;
  return {first, at: Array.from({length: count}, (_, i) => at(i))};
}
