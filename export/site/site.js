// The page of a static site: LiteRT.js runs the model here.
const LIBRARY = "./litert/core.js", WASM = "litert/wasm/", NAMES = {wasm: "the CPU", webgpu: "the GPU"};
const sheet = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
let litert, network, where;  // the library; the model, and what it runs on
let busy = Promise.resolve();  // One at a time: what a model does on a GPU is not to be interrupted.

// What runs when all before it has ended, however it ended.
function inTurn(run) {
  const result = busy.then(run);
  busy = result.catch(() => {});
  return result;
}

async function start() {
  try {
    if (location.protocol === "file:")
      throw new Error("browsers open this page from a server alone: in its folder, type `python -m http.server`, " +
        "and open http://localhost:8000");
    const described = await (await found("model.json")).json();
    litert = await import(LIBRARY);
    await inTurn(() => load("wasm"));
    about = described;
    introduce(about.title, ", step " + about.step);
    const adapter = navigator.gpu && await navigator.gpu.requestAdapter().catch(() => null);
    $("where_label").hidden = !adapter;
  } catch (error) {
    $("about").textContent = "";
    $("problem").textContent = error.message;
  }
}

async function found(name) {
  const response = await fetch(name).catch(() => ({status: "no answer"}));
  if (!response.ok) throw new Error(name + " cannot be loaded (" + response.status + "): reload the page");
  return response;
}

// Loads the model on the CPU ("wasm") or the GPU ("webgpu"), which takes what it can and leaves the rest to the CPU.
async function load(on) {
  const model = new Uint8Array(await (await found("model.tflite")).arrayBuffer());
  if (litert.getGlobalLiteRtPromise()) litert.unloadLiteRt();
  const jspi = on === "webgpu" && "Suspending" in WebAssembly;  // by which a GPU can leave some to the CPU
  await litert.loadLiteRt(WASM, {jspi, threads: on === "wasm" && self.crossOriginIsolated});
  network = await litert.loadAndCompile(model, {accelerator: on, gpuOptions: {precision: "fp32"}});
  where = network.options.accelerator;
}

// Moves the model to what was chosen; to the CPU again, with a line, where that fails.
async function move(on) {
  $("status").textContent = "Loading…";
  let line = "";
  try {
    await load(on);
    if (where !== on) line = "This browser cannot run this model on " + NAMES[on] + ": it runs on " + NAMES[where];
  } catch (error) {
    line = "The model does not run on " + NAMES[on] + " (" + error.message + "): it runs on the CPU";
    await load("wasm");
  }
  $("where").value = where;
  $("status").textContent = line || "The model is on " + NAMES[where];
}

function predict(source) {
  return inTurn(async () => {
    const began = performance.now();
    // The file's own pixels, upright; a browser would else fit colours to the screen.
    const how = {imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none"};
    const picture = await createImageBitmap(source, how)
      .catch(() => { throw new Error("this browser cannot read this as a picture"); });
    const placed = place(pixels(picture), about.input, about.resize);
    const answered = async () => answerOf(await run(placed), placed, about);
    let answer, note = "";
    try {
      answer = await answered();
    } catch (error) {
      if (where === "wasm") throw error;
      await move("wasm");
      note = "the GPU failed (" + error.message + "); ";
      answer = await answered();
    }
    return {answer, picture, said: note + Math.round(performance.now() - began) + " ms on " + NAMES[where]};
  });
}

// The pixels of a picture as a photo of canvas.js.
function pixels(picture) {
  const {width, height} = picture;
  [sheet.canvas.width, sheet.canvas.height] = [width, height];
  sheet.drawImage(picture, 0, 0);
  const {data} = sheet.getImageData(0, 0, width, height);
  sheet.canvas.width = sheet.canvas.height = 0;  // Its memory goes at once.
  return {data, size: [height, width]};
}

// The model's outputs by name, as flat arrays.
async function run({image, size}) {
  const given = {image: new litert.Tensor(image, [1, ...about.input.size, 3])};
  let outputs = {};
  try {
    if (network.getInputDetails().some(one => one.name === "size"))
      given.size = new litert.Tensor(Int32Array.from(size), [2]);
    outputs = await network.run(given);
    const values = {};
    for (const [name, tensor] of Object.entries(outputs)) values[name] = await tensor.data();
    return values;
  } finally {
    for (const tensor of [...Object.values(given), ...Object.values(outputs)]) tensor.delete();
  }
}

const filmed = video => createImageBitmap(video);

$("where").onchange = async event => {
  const on = event.target.value;
  $("where").disabled = true;
  try { await inTurn(() => move(on)); } catch (error) { $("problem").textContent = error.message; }
  $("where").disabled = false;
};
start();
