//! Generates the protobuf code with the pure-Rust parser, so that no `protoc` is needed.

fn main() {
    println!("cargo::rerun-if-changed=proto");
    protobuf_codegen::Codegen::new()
        .pure()
        .include("proto")
        .input("proto/videocall.proto")
        .customize(
            protobuf_codegen::Customize::default()
                .tokio_bytes(true)
                .gen_mod_rs(true),
        )
        .cargo_out_dir("proto")
        .run_from_script();
}
