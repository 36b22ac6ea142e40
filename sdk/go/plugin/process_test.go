package plugin_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
)

// child starts this very program as a plugin.
func child(t *testing.T, environment ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append([]string{"PLUGIN_TEST_CHILD=1"}, environment...)
	said := &bytes.Buffer{}
	command.Stderr = said
	t.Cleanup(func() {
		if command.ProcessState == nil && command.Process != nil {
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	})
	return command, said
}

// onSocket is a fake on a socket of the loopback, for children.
func onSocket(t *testing.T) (*running, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	agentd := fake.New()
	agentd.Serve(listener)
	t.Cleanup(agentd.Stop)
	return &running{t: t, agentd: agentd}, "AGENTD_URL=http://" + listener.Addr().String()
}

func TestAProcessThatIsToldToStopFinishesItsCallsAndLeaves(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		r, url := onSocket(t)
		command, said := child(t, url, "PLUGIN_MODE="+string(mode), "AGENTD_PLUGIN_TOKEN=canary-token")
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		r.await(registered(1))
		var calls []*fake.Exchange
		for range 5 {
			call := r.call("sleep", "")
			// Accepted, and begun.
			r.next(call)
			r.next(call)
			calls = append(calls, call)
		}
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		r.await(func(seen fake.Seen) bool { return strings.Contains(strings.Join(seen.Order, " "), "draining") })
		for _, call := range calls {
			updates, err := call.All()
			if err != nil || len(updates) != 1 || updates[0].GetResult().GetSummary() != "slept" {
				t.Errorf("%s: a running call ended with %v, %v", mode, updates, err)
			}
		}
		if err := command.Wait(); err != nil {
			t.Errorf("%s: the process ended with %v and said %s", mode, err, said)
		}
		if seen := r.await(func(seen fake.Seen) bool { return len(seen.Deregisters) == 1 }); seen.Order[len(seen.Order)-1] != "deregister" {
			t.Errorf("%s: left in the order %v", mode, seen.Order)
		}
		token := ""
		for _, register := range r.await(registered(1)).Registers {
			token = register.GetDirect().GetCallerToken()
		}
		if text := said.String(); strings.Contains(text, "canary-token") || token != "" && strings.Contains(text, token) {
			t.Errorf("a token is in the log: %s", text)
		}
	}
}

func TestASupervisedProcessEndsWithItsParent(t *testing.T) {
	r, url := onSocket(t)
	command, said := child(t, url, "AGENTD_SUPERVISED=1")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	r.await(registered(1))
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("ended with %v and said %s", err, said)
	}
	r.await(func(seen fake.Seen) bool { return len(seen.Deregisters) == 1 })
}

func TestAllWrongSettingsAreToldTogetherAndTheProcessEndsWithTwo(t *testing.T) {
	command, said := child(t, "AGENTD_URL=ftp://x", "PLUGIN_LISTEN=here", "AGENTD_CA_FILE=/no/such/authority", "PLUGIN_MODE=sideways",
		"AGENTD_PLUGIN_TOKEN_FILE=/no/such/file", "PLUGIN_SLOTS=65", "PLUGIN_TLS_CERT=/no/such/cert", "PLUGIN_TLS_CLIENT_CA=/no/such/ca")
	if err := command.Run(); command.ProcessState.ExitCode() != 2 {
		t.Errorf("ended with %v", err)
	}
	for _, name := range []string{
		"AGENTD_URL", "PLUGIN_LISTEN", "AGENTD_CA_FILE", "PLUGIN_MODE", "AGENTD_PLUGIN_TOKEN_FILE", "PLUGIN_SLOTS", "PLUGIN_TLS_CERT", "PLUGIN_TLS_CLIENT_CA",
	} {
		if !strings.Contains(said.String(), name+": ") {
			t.Errorf("%s is not told in: %s", name, said)
		}
	}
}

func TestARefusedProcessEndsWithOne(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	agentd := fake.New()
	agentd.NoRelay = true
	agentd.Serve(listener)
	defer agentd.Stop()
	command, said := child(t, "AGENTD_URL=http://"+listener.Addr().String(), "PLUGIN_MODE=relay")
	if err := command.Run(); command.ProcessState.ExitCode() != 1 || strings.Count(said.String(), "newer agentd") != 1 {
		t.Errorf("ended with %v and said %s", err, said)
	}
}
