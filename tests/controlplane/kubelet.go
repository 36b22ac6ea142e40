package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cadvisor "github.com/google/cadvisor/info/v1"
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	critest "k8s.io/cri-api/pkg/apis/testing"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/server"
	"k8s.io/kubernetes/pkg/kubemark"
)

// The kubelet as kubemark assembles it, with what kubemark leaves out: it records events, really
// probes, and serves logs over TLS. It must be root (it reads /dev/kmsg). All that it writes is in
// its folder; it leaves the network and the mounts of the machine alone.
func newKubeletCommand() *cobra.Command {
	var kubeconfig, node, folder, cert, key string
	var port int
	command := &cobra.Command{
		Use:           "kubelet",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", kubeconfig, err)
			}
			if folder == "" {
				if folder, err = os.MkdirTemp("", "kubelet-"); err != nil {
					return err
				}
			}
			tls := &server.TLSOptions{CertFile: cert, KeyFile: key}
			return runKubelet(command.Context(), config, node, folder, tls, port)
		},
	}
	flags := command.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "how to reach the apiserver, as a node")
	flags.StringVar(&node, "node-name", "localhost", "name of the node")
	flags.StringVar(&folder, "root-dir", "", "folder for all that it writes; a temporary one by itself")
	flags.StringVar(&cert, "tls-cert-file", "", "certificate to serve with")
	flags.StringVar(&key, "tls-private-key-file", "", "key of the certificate")
	flags.IntVar(&port, "port", 0, "port on 127.0.0.1 to serve on")
	return command
}

func runKubelet(ctx context.Context, config *rest.Config, node, folder string, tls *server.TLSOptions, port int) error {
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	flags, kubelet := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName: node, KubeletPort: port, MaxPods: 500,
	})
	// kubemark has made a folder in /tmp.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return err
	}
	flags.RootDirectory, kubelet.StaticPodPath = folder, ""
	kubelet.PodLogsDir = filepath.Join(folder, "logs")
	if err := os.MkdirAll(kubelet.PodLogsDir, 0o755); err != nil {
		return err
	}
	kubelet.Address = "127.0.0.1"
	// A node that is lost is seen within seconds, given a controller-manager that looks as often.
	kubelet.NodeLeaseDurationSeconds = 8
	kubelet.ClusterDNS = []string{"10.96.0.10"}
	kubelet.MakeIPTablesUtilChains = false
	kubelet.EvictionHard = nil
	kubelet.SerializeImagePulls = false
	heartbeats := rest.CopyConfig(config)
	heartbeats.Timeout, heartbeats.QPS = time.Duration(kubelet.NodeLeaseDurationSeconds)*time.Second, -1
	heartbeat, err := kubernetes.NewForConfig(heartbeats)
	if err != nil {
		return err
	}
	machine := roomyMachine{&cadvisortest.Fake{NodeName: node}}
	images := scriptedImages{critest.NewFakeImageService()}
	images.SetFakeImageSize(48 << 20)
	hollow := kubemark.NewHollowKubelet(
		flags, kubelet, client, heartbeat, machine, images, newRuntime(), cm.NewStubContainerManager(),
	)
	// nil means the real one, of both.
	hollow.KubeletDeps.Recorder = nil
	hollow.KubeletDeps.ProbeManager = nil
	hollow.KubeletDeps.EventClient = client.CoreV1()
	hollow.KubeletDeps.OSInterface = &confinedOS{}
	hollow.KubeletDeps.TLSOptions = tls
	hollow.Run(ctx)
	return nil
}

// confinedOS leaves /var/log/containers of the machine alone, which may be somebody else's.
type confinedOS struct{ kubecontainer.RealOS }

func (c confinedOS) MkdirAll(path string, mode os.FileMode) error {
	if path == "/var/log/containers" {
		return nil
	}
	return c.RealOS.MkdirAll(path, mode)
}

func (confinedOS) Symlink(string, string) error { return nil }

func (confinedOS) Glob(string) ([]string, error) { return nil, nil }

// roomyMachine has room for the pods of many tests.
type roomyMachine struct{ *cadvisortest.Fake }

func (roomyMachine) MachineInfo() (*cadvisor.MachineInfo, error) {
	return &cadvisor.MachineInfo{
		NumCores: 32, MemoryCapacity: 64 << 30, MachineID: "simulated", SystemUUID: "simulated", BootID: "simulated",
	}, nil
}
