// Pictures from a file, the clipboard or the camera, and what the model sees in them. A page's own script has
// `predict`, of a picture → {answer, picture, said}: what `drawing.js` draws, and how it went; and `filmed`, of the
// camera's video → a picture for `predict`.
let stream, turns = 0;  // the camera's pictures; number of the last picture

function introduce(title, facts) {
  $("title").textContent = title;
  document.title = title + " – tfrecog";
  const count = about.classes.length;
  $("about").textContent = about.task + ", " + count + (count === 1 ? " class" : " classes") + facts;
  $("threshold_label").hidden = about.task !== "detection";
}

function forget() {
  if (shown && shown.picture) shown.picture.close();
  shown = null;
}

async function see(source) {
  const turn = ++turns;
  $("problem").textContent = "";
  if (!stream) $("status").textContent = "Looking…";
  try {
    if (!about) throw new Error("the model is not ready yet; try again in a few seconds");
    const {answer, picture, said} = await predict(source);
    if (turn !== turns) {  // Another picture was given meanwhile.
      if (picture) picture.close();
      return;
    }
    forget();
    shown = {picture, answer};
    $("status").textContent = said;
    draw();
  } catch (error) {
    if (turn !== turns) return;
    forget();
    $("canvas").width = $("canvas").height = 0;
    $("list").replaceChildren();
    $("status").textContent = "";
    $("problem").textContent = error.message;
    stop();
  }
}

function stop() {
  if (stream) stream.getTracks().forEach(track => track.stop());
  stream = null;
  $("camera").textContent = "Use the camera";
}

async function film() {
  if (stream) return stop();
  $("camera").disabled = true;  // A second click would open it twice, and stop it once.
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
  } catch (error) {
    $("problem").textContent = "no camera: " + error.message;
    return;
  } finally {
    $("camera").disabled = false;
  }
  $("camera").textContent = "Stop the camera";
  const video = $("video");
  video.srcObject = stream;
  await video.play();
  while (stream) {
    await new Promise(requestAnimationFrame);  // Not while nobody sees the page.
    const picture = await filmed(video);
    if (stream && picture) await see(picture);
  }
}

const one = files => { if (files.length) { stop(); see(files[0]); } };
$("file").onchange = event => one(event.target.files);
$("threshold").oninput = () => { $("threshold_value").textContent = Number($("threshold").value).toFixed(2); draw(); };
$("camera").onclick = film;
document.ondragover = event => { event.preventDefault(); $("drop").className = "over"; };
document.ondragleave = () => { $("drop").className = ""; };
document.ondrop = event => { event.preventDefault(); $("drop").className = ""; one(event.dataTransfer.files); };
document.onpaste = event => one(event.clipboardData.files);
onresize = draw;
if (!navigator.mediaDevices) { $("camera").hidden = true; $("no_camera").hidden = false; }
