//! Lets faults be planted when `MAILNODE_FAULTS` is set while this is built. Nothing else can: there is no feature that a
//! dependency could switch on.

fn main() {
    println!("cargo:rerun-if-env-changed=MAILNODE_FAULTS");
    println!("cargo:rustc-check-cfg=cfg(planted)");
    if std::env::var_os("MAILNODE_FAULTS").is_some() {
        println!("cargo:rustc-cfg=planted");
    }
}
