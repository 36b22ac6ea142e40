package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// etcd on a unix socket, so that it needs no port. It does not fsync: its data ends with the test,
// and what is killed in a test is the apiserver.
func newEtcdCommand() *cobra.Command {
	var dir, socket string
	command := &cobra.Command{
		Use:           "etcd",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config := embed.NewConfig()
			config.Dir = dir
			config.UnsafeNoFsync = true
			config.LogLevel = "warn"
			config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: socket}}
			// There are no peers and nobody who looks for members, but both must have addresses.
			config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
			nowhere := []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
			config.AdvertisePeerUrls, config.AdvertiseClientUrls = nowhere, nowhere
			config.InitialCluster = config.InitialClusterFromName(config.Name)
			server, err := embed.StartEtcd(config)
			if err != nil {
				return fmt.Errorf("cannot start etcd: %w", err)
			}
			defer server.Close()
			select {
			case err := <-server.Err():
				return err
			case <-command.Context().Done():
				return nil
			}
		},
	}
	command.Flags().StringVar(&dir, "data-dir", "", "folder of the data")
	command.Flags().StringVar(&socket, "socket", "", "path of the unix socket to listen on")
	return command
}
