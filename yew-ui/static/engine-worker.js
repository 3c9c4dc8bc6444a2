// Becomes the media engine of a call: loads the page's own WebAssembly module once more, in this worker, and gives it
// the way to the page. All the rest is Rust (videocall-client/src/engine).
//
// From the page, once: { glue: address of the module's JavaScript, module: WebAssembly.Module, port: MessagePort }
// To the page, once:   whether a worker can read the pictures of a MediaStreamTrack, which only a worker can tell.

postMessage("MediaStreamTrackProcessor" in self);

addEventListener(
  "message",
  async ({ data: { glue, module, port } }) => {
    try {
      const bindings = await import(glue);
      await bindings.default({ module_or_path: module });
      bindings.videocall_engine(port);
    } catch (error) {
      // As FromEngine::Broken (videocall-client/src/bridge/messages.rs).
      port.postMessage([JSON.stringify({ Broken: String(error) })]);
    }
  },
  { once: true },
);
