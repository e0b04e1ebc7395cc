// The server's page: it asks the server.
let model;  // its name

function headers(more) {
  const token = sessionStorage.getItem("token");
  return token ? {...more, Authorization: "Bearer " + token} : more;
}

// The JSON of an answer; an Error with the server's sentence if it is refused.
async function ask(path, options = {}) {
  const asked = fetch(path, {...options, headers: headers(options.headers)});
  const response = await asked.catch(() => { throw new Error("the server cannot be reached"); });
  const text = await response.text();
  let content = {};
  try { content = JSON.parse(text); } catch { content = {error: text.slice(0, 200)}; }
  $("login").hidden = response.status !== 401;
  $("drop").hidden = !$("login").hidden;
  if (!response.ok) throw new Error(content.error || "the server answered with status " + response.status);
  return content;
}

async function start() {
  try {
    model = (await ask("/v1/models")).models[0];
    const described = await ask("/v2/models/" + model);
    about = described.parameters;
    introduce(model, ", version " + described.versions[0]);
    $("problem").textContent = "";
    lines();
  } catch (error) {
    $("about").textContent = "";
    const asked = !$("login").hidden && !sessionStorage.getItem("token");  // No token was given yet.
    $("problem").textContent = asked ? "" : error.message;
    if ($("login").hidden) setTimeout(start, 2000);  // It is being loaded.
  }
}

function lines() {
  $("lines").hidden = false;
  const url = location.origin + "/v1/models/" + model + ":predict", token = sessionStorage.getItem("token");
  $("curl").textContent = "curl -H 'Content-Type: image/jpeg'" + (token ? " -H 'Authorization: Bearer TOKEN'" : "") +
    " --data-binary @photo.jpg " + url;
  $("python").textContent = `import json
import urllib.request

with open("photo.jpg", "rb") as file:
    picture = file.read()
headers = {"Content-Type": "image/jpeg"${token ? ', "Authorization": "Bearer TOKEN"' : ""}}
request = urllib.request.Request("${url}", picture, headers)
print(json.load(urllib.request.urlopen(request))["predictions"][0])`;
}

async function predict(file) {
  const began = performance.now();
  const type = file.type.startsWith("image/") ? file.type : "image/jpeg";  // The server looks at the bytes.
  const options = {method: "POST", body: file, headers: {"Content-Type": type}};
  const answer = (await ask("/v1/models/" + model + ":predict", options)).predictions[0];
  const took = Math.round(performance.now() - began);
  let picture = null;
  try { picture = await createImageBitmap(file, {imageOrientation: "from-image"}); } catch { /* drawn without */ }
  return {answer, picture, said: took + " ms" + (picture ? "" : "; this browser cannot show this kind of picture")};
}

function filmed(video) {
  const frame = document.createElement("canvas");
  [frame.width, frame.height] = [video.videoWidth, video.videoHeight];
  frame.getContext("2d").drawImage(video, 0, 0);
  return new Promise(done => frame.toBlob(done, "image/jpeg", 0.9));
}

$("login").onsubmit = event => { event.preventDefault(); sessionStorage.setItem("token", $("token").value.trim()); start(); };
start();
