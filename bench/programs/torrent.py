"""libtorrent as a program: makes a torrent, or is one client. Its Python has libtorrent.

    torrent.py create v1|v2 PIECE_BYTES SOURCE TORRENT [TRACKER_URL]
    torrent.py client seed|leech TORRENT DIRECTORY ADDRESS PEER_ADDRESS...

`create` prints the seconds that hashing took. `client` prints `complete` when all pieces are
verified and flushed, then goes on seeding until it is told to end. Every client has an address of
its own.
"""

import sys
import time

import libtorrent as lt

PORT = 6881
MIB = 1 << 20

#: What makes libtorrent fast on a network of one's own, by its tuning guide and by trial.
SETTINGS = {
    # Nobody is to be found: all addresses are given.
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # Plain TCP, no encryption; several clients on one host.
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "in_enc_policy": lt.enc_policy.pe_disabled,
    "out_enc_policy": lt.enc_policy.pe_disabled,
    "allow_multiple_connections_per_ip": True,
    # All friends: nobody is choked, nothing is held back.
    "unchoke_slots_limit": -1,
    "connections_limit": 1000,
    "connection_speed": 1000,
    "torrent_connect_boost": 255,
    "min_reconnect_time": 1,
    "mixed_mode_algorithm": lt.bandwidth_mixed_algo_t.prefer_tcp,
    "seed_choking_algorithm": lt.seed_choking_algorithm_t.round_robin,
    # Long queues and big buffers: the network is faster than what the defaults were made for.
    "max_out_request_queue": 2000,
    "max_allowed_in_request_queue": 4000,
    "request_queue_time": 3,
    "send_buffer_low_watermark": 1 * MIB,
    "send_buffer_watermark": 8 * MIB,
    "send_buffer_watermark_factor": 200,
    "send_socket_buffer_size": 4 * MIB,
    "recv_socket_buffer_size": 4 * MIB,
    "max_queued_disk_bytes": 64 * MIB,
    "aio_threads": 2,
    "hashing_threads": 1,
    "close_redundant_connections": True,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.storage_notification
    | lt.alert.category_t.error_notification,
}


def create(version: str, piece_bytes: str, source: str, torrent: str, tracker: str = "") -> None:
    """Hashes a file and writes its torrent."""
    storage = lt.file_storage()
    lt.add_files(storage, source)
    flag = lt.create_torrent.v2_only if version == "v2" else lt.create_torrent.v1_only
    maker = lt.create_torrent(storage, int(piece_bytes), flag)
    if tracker:
        maker.add_tracker(tracker)
    began = time.monotonic()
    lt.set_piece_hashes(maker, source.rsplit("/", 1)[0])
    print(f"seconds {time.monotonic() - began:.6f}", flush=True)
    with open(torrent, "wb") as file:
        file.write(lt.bencode(maker.generate()))


def client(role: str, torrent: str, directory: str, address: str, *peers: str) -> None:
    """Fetches what is missing, and seeds until it is ended."""
    session = lt.session({**SETTINGS, "listen_interfaces": f"{address}:{PORT}",
                          "outgoing_interfaces": address})
    wanted = lt.add_torrent_params()
    wanted.ti = lt.torrent_info(torrent)
    wanted.save_path = directory
    wanted.storage_mode = lt.storage_mode_t.storage_mode_sparse
    wanted.flags = lt.torrent_flags.default_flags & ~(
        lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if role == "seed":
        # It is known to be complete: nothing is hashed first, as with a warm digest cache.
        wanted.flags |= lt.torrent_flags.seed_mode
    wanted.peers = [(peer, PORT) for peer in peers]
    handle = session.add_torrent(wanted)
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert) and role == "leech":
                handle.flush_cache()
            elif isinstance(alert, lt.cache_flushed_alert):
                print("complete", flush=True)
            elif isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert,
                                    lt.listen_failed_alert)):
                sys.exit(alert.message())


if __name__ == "__main__":
    {"create": create, "client": client}[sys.argv[1]](*sys.argv[2:])
