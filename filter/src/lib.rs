//! proxy-wasm filter that counts what one proxy sees.
