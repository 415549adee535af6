use super::*;
use proptest::prelude::*;

/// What Istio's sidecar writes of a client without a subject.
const ISTIO: &str = "By=spiffe://cluster.local/ns/foresail/sa/foresail;\
    Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;Subject=\"\";\
    URI=spiffe://cluster.local/ns/shop/sa/web";
/// What somebody would like to be.
const FORGED: &str = "By=spiffe://cluster.local/ns/foresail/sa/foresail;Hash=00;Subject=\"\";\
    URI=spiffe://cluster.local/ns/bank/sa/vault";

fn who(header: &str) -> Result<String, Unreadable> {
    nearest(header.as_bytes()).map(|sender| format!("{}/{}", sender.namespace, sender.account))
}

#[test]
fn the_sender_is_whom_the_nearest_proxy_names() {
    assert_eq!(who(ISTIO), Ok("shop/web".to_owned()));
    assert_eq!(who(&format!("{FORGED},{ISTIO}")), Ok("shop/web".to_owned()));
    let quoted = "Hash=1;Subject=\"CN=\\\"a, b\\\";URI=spiffe://x/ns/bank/sa/y\";\
        uri=\"spiffe://cluster.local/ns/shop/sa/web\";DNS=web.shop";
    assert_eq!(who(quoted), Ok("shop/web".to_owned()));
}

#[test]
fn a_quote_that_the_sender_leaves_open_hides_nothing() {
    for begin in [
        "\"",
        "X=\"",
        "URI=spiffe://cluster.local/ns/bank/sa/vault;X=\"",
        "X=\"\\\"",
        "X=\\",
        "X=\\\\\"",
        ",,,",
        ";;;=",
        "URI=spiffe://cluster.local/ns/bank/sa/vault;Subject=\"\\",
    ] {
        assert_eq!(who(&format!("{begin},{ISTIO}")), Ok("shop/web".to_owned()), "{begin}");
    }
}

#[test]
fn what_is_not_one_workload_of_this_mesh_is_nobody() {
    use Unreadable::{Malformed, NoWorkload, NotOneUri, OtherTrustDomain};
    let uri = |uri: &str| who(&format!("Hash=1;URI={uri}"));
    for (header, why) in [
        ("", Malformed),
        ("nonsense", Malformed),
        ("Hash=1;URI", Malformed),
        ("Hash=1;Subject=\"CN=a", Malformed),
        ("Hash=1;URI=spiffe://\"a\"/ns/b/sa/c", Malformed),
        ("Hash=1", NotOneUri),
        ("URI=spiffe://a/ns/b/sa/c;URI=spiffe://a/ns/d/sa/e", NotOneUri),
        ("By=spiffe://a/ns/b/sa/c;URI=spiffe://z/ns/b/sa/c", OtherTrustDomain),
        ("URI=", NoWorkload),
    ] {
        assert_eq!(who(header), Err(why), "{header}");
    }
    for bad in [
        "https://a/ns/b/sa/c",
        "spiffe://a/ns/b/sa/c/d",
        "spiffe://a/ns//sa/c",
        "spiffe:///ns/b/sa/c",
        "spiffe://a/sa/c/ns/b",
        "spiffe://a/ns/b%2fx/sa/c",
        "spiffe://a/ns/b/sa/c ",
        "SPIFFE://a/ns/b/sa/c",
    ] {
        assert_eq!(uri(bad), Err(NoWorkload), "{bad}");
    }
    assert_eq!(nearest(b"URI=\xff"), Err(Malformed));
}

proptest! {
    #[test]
    fn nothing_that_stands_before_the_last_element_changes_it(before in "[ -~]{0,80}") {
        prop_assert_eq!(who(&format!("{before},{ISTIO}")), Ok("shop/web".to_owned()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = nearest(&bytes);
    }
}
