package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd keeps the cluster's state in a directory, without syncing it to disk: it is thrown away.
func runEtcd(args []string) error {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dir := flags.String("data-dir", "", "where the state lives")
	client := flags.String("client", "", "address for clients, http://127.0.0.1:PORT")
	peer := flags.String("peer", "", "address for peers, http://127.0.0.1:PORT")
	_ = flags.Parse(args)
	clientURL, err := url.Parse(*client)
	if err != nil {
		return fmt.Errorf("-client %q: %w", *client, err)
	}
	peerURL, err := url.Parse(*peer)
	if err != nil {
		return fmt.Errorf("-peer %q: %w", *peer, err)
	}
	config := embed.NewConfig()
	config.Dir = *dir
	config.ListenClientUrls = []url.URL{*clientURL}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{*peerURL}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		etcd.Close()
		return nil
	case err := <-etcd.Err():
		return err
	}
}
