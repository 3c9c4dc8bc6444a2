//! The cameras and microphones that are connected.

use futures::StreamExt;
use videocall_client::devices::{self, DeviceList};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

/// What is connected, kept up to date. Looks anew whenever `key` changes: names are known only once the person
/// has allowed a device.
#[hook]
pub(crate) fn use_devices<K: PartialEq + 'static>(key: K) -> DeviceList {
    let list = use_state_eq(DeviceList::default);
    let setter = list.setter();
    use_effect_with(key, move |_| {
        let (stop, stopped) = futures::channel::oneshot::channel::<()>();
        spawn_local(async move {
            let follow = async {
                refresh(&setter).await;
                let Ok(changes) = devices::changes() else { return };
                let mut changes = std::pin::pin!(changes);
                while changes.next().await.is_some() {
                    refresh(&setter).await;
                }
            };
            futures::future::select(std::pin::pin!(follow), stopped).await;
        });
        move || drop(stop)
    });
    (*list).clone()
}

async fn refresh(setter: &UseStateSetter<DeviceList>) {
    if let Ok(list) = devices::list().await {
        setter.set(list);
    }
}
