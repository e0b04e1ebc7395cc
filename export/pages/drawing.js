// Draws what a model sees in a picture, on any of our pages: `shown`, the picture and the answer in the form of the
// server's V1 predictions, by `about`, the model's metadata.
const $ = id => document.getElementById(id);
const MIN_KEYPOINT_SCORE = 2;  // a logit, as in the pictures of tfrecog.predict
let about, shown;

// Hues a golden section apart, by label.
function colour(label) {
  const own = about.classes[label - 1] && about.classes[label - 1].colour;
  if (own) return own;
  const hue = label * 0.61803398875 % 1 * 6, part = n => {
    const k = (n + hue) % 6;
    return Math.round(255 * (1 - 0.85 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}
const css = rgb => `rgb(${rgb.join(",")})`;

// The picture with masks or labels is drawn at its own size, and enlarged by a whole factor if it is small; boxes, points
// and names come on top of that.
function draw() {
  if (!shown) return;
  const {picture, answer} = shown, layer = document.createElement("canvas"), canvas = $("canvas");
  const size = answer.image_size || (picture ? [picture.height, picture.width] : [1, 1]);
  const factor = Math.max(1, Math.min(Math.ceil(400 / Math.min(...size)), Math.floor(4000 / Math.max(...size))));
  [layer.height, layer.width] = size;
  [canvas.height, canvas.width] = [factor * size[0], factor * size[1]];
  const pixels = layer.getContext("2d"), context = canvas.getContext("2d");
  if (picture) pixels.drawImage(picture, 0, 0, size[1], size[0]);
  const kept = "detection_boxes" in answer ? scored(answer) : [];
  if (answer.detection_masks && kept.length) drawMasks(pixels, answer, kept, size);
  if ("labels" in answer) drawLabels(pixels, answer.labels, size);
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  if ("detection_boxes" in answer) drawDetections(context, answer, kept, factor);
  if ("class_scores" in answer)
    rows(["class", "score"], answer.classes.map((name, i) => [null, name, percent(answer.class_scores[i])]));
}

// Detections whose score is at least what the person chose, the large ones first.
function scored(answer) {
  const least = Number($("threshold").value);
  const area = i => { const [y1, x1, y2, x2] = answer.detection_boxes[i]; return (y2 - y1) * (x2 - x1); };
  return answer.detection_scores.map((_, i) => i).filter(i => answer.detection_scores[i] >= least)
    .sort((a, b) => area(b) - area(a));
}

const percent = score => (100 * score).toFixed(1) + " %";

// A table: of each row the colour (or null), a name and a number.
function rows(heads, content) {
  const table = document.createElement("table"), head = table.insertRow();
  for (const text of heads) head.appendChild(document.createElement("th")).textContent = text;
  for (const [rgb, name, number] of content) {
    const row = table.insertRow(), cell = row.insertCell(), value = row.insertCell();
    if (rgb) {
      const swatch = cell.appendChild(document.createElement("span"));
      swatch.className = "swatch";
      swatch.style.background = css(rgb);
    }
    cell.append(name);
    value.className = "number";
    value.textContent = number;
  }
  $("list").replaceChildren(table);
}

function drawMasks(context, answer, kept, [height, width]) {
  const pixels = context.getImageData(0, 0, width, height);
  for (const i of kept) shade(pixels.data, answer.detection_masks[i], colour(answer.detection_classes[i]));
  context.putImageData(pixels, 0, 0);
}

function drawDetections(context, answer, kept, factor) {
  const {width, height} = context.canvas, line = Math.max(1, Math.round(Math.min(height, width) / 240));
  const rgb = i => colour(answer.detection_classes[i]), box = i => answer.detection_boxes[i].map(side => factor * side);
  context.lineWidth = line;
  for (const i of kept) {
    const [y1, x1, y2, x2] = box(i);
    context.strokeStyle = css(rgb(i));
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (answer.detection_keypoints) {
      const points = answer.detection_keypoints[i].map(([y, x, score]) => [factor * y, factor * x, score]);
      drawKeypoints(context, points, css(rgb(i)), line);
    }
  }
  // As large as is legible where the page shows the picture smaller than it is.
  const text = Math.round(Math.max(Math.min(height, width) / 30, 12 * width / (context.canvas.clientWidth || width)));
  context.font = text + "px system-ui, sans-serif";
  context.textBaseline = "top";
  for (const i of kept) {
    const words = answer.detection_class_names[i] + " " + Math.round(100 * answer.detection_scores[i]) + " %";
    const wide = context.measureText(words).width + 4, [y1, x1] = box(i);
    const x = Math.max(0, Math.min(x1, width - wide)), y = y1 >= text + 4 ? y1 - text - 4 : y1;
    context.fillStyle = css(rgb(i));
    context.fillRect(x, y, wide, text + 4);
    const [r, g, b] = rgb(i);
    context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "black" : "white";
    context.fillText(words, x + 2, y + 2);
  }
  const best = kept.slice().sort((a, b) => answer.detection_scores[b] - answer.detection_scores[a]);
  rows(["class", "score"], best.map(i => [rgb(i), answer.detection_class_names[i], percent(answer.detection_scores[i])]));
  $("status").textContent = $("status").textContent.replace(/(, \d+ of \d+ shown)?$/,
    ", " + kept.length + " of " + answer.detection_scores.length + " shown");
}

// Tints a mask in COCO's run lengths, column by column and zeros first, as numbers or as their compressed string.
function shade(data, {size: [height, width], counts}, [r, g, b]) {
  let at = 0;
  (typeof counts === "string" ? decompressed(counts) : counts).forEach((length, number) => {
    if (number % 2) for (let p = at; p < at + length; p++) {
      const pixel = 4 * (p % height * width + Math.floor(p / height));
      data[pixel] = (data[pixel] + r) / 2;
      data[pixel + 1] = (data[pixel + 1] + g) / 2;
      data[pixel + 2] = (data[pixel + 2] + b) / 2;
      data[pixel + 3] = 255;
    }
    at += length;
  });
}

// The numbers of a compressed string: 5 bits a character, each but the first three told as the difference to the one
// before the last.
function decompressed(text) {
  const runs = [];
  for (let k = 0; k < text.length;) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const code = text.charCodeAt(k++) - 48;
      value |= (code & 31) << shift;
      more = (code & 32) !== 0;
      shift += 5;
      if (!more && (code & 16)) value |= -1 << shift;
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

function drawKeypoints(context, points, own, line) {
  const side = {};
  for (const [left, right] of about.flip_pairs || []) { side[left] = "#00c853"; side[right] = "#ff9100"; }
  const sure = j => points[j][2] >= MIN_KEYPOINT_SCORE;
  for (const [a, b] of about.skeleton || []) if (sure(a) && sure(b)) {
    context.strokeStyle = side[a] || side[b] || own;
    context.beginPath();
    context.moveTo(points[a][1], points[a][0]);
    context.lineTo(points[b][1], points[b][0]);
    context.stroke();
  }
  points.forEach(([y, x], j) => {
    if (!sure(j)) return;
    context.beginPath();
    context.arc(x, y, 1.5 * line, 0, 7);
    context.fillStyle = "white";
    context.fill();
    context.strokeStyle = side[j] || own;
    context.stroke();
  });
}

function drawLabels(context, labels, [height, width]) {
  const pixels = context.getImageData(0, 0, width, height), count = {};
  const colours = [[0, 0, 0], ...about.classes.map((_, i) => colour(i + 1))];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const label = labels[y][x], rgb = colours[label] || colours[0], at = 4 * (y * width + x);
    count[label] = (count[label] || 0) + 1;
    for (let c = 0; c < 3; c++) pixels.data[at + c] = (pixels.data[at + c] + rgb[c]) / 2;
    pixels.data[at + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  const found = Object.entries(count).sort((a, b) => b[1] - a[1]);
  rows(["class", "share"], found.map(([label, n]) =>
    [colours[label], label > 0 ? about.classes[label - 1].name : "no class", percent(n / (height * width))]));
}
