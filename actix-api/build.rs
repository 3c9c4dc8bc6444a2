//! Builds anew when only a migration was added.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
