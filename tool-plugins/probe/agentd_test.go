package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTheRealAgentdTakesThePluginAndCallsIt needs the daemon's program in AGENTD_BIN, and grpcurl on
// PATH for the calls.
func TestTheRealAgentdTakesThePluginAndCallsIt(t *testing.T) {
	agentd := os.Getenv("AGENTD_BIN")
	if agentd == "" {
		t.Skip("AGENTD_BIN names no agentd")
	}
	program := filepath.Join(t.TempDir(), "plugin-probe")
	if said, err := exec.Command("go", "build", "-o", program, "./cmd/plugin-probe").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := daemon(t, ctx, agentd)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	probe := exec.CommandContext(ctx, program)
	probe.Env = append(os.Environ(), "AGENTD_URL="+url, "PROBE_ALLOW=127.0.0.0/8")
	said := &bytes.Buffer{}
	probe.Stderr = said
	if err := probe.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = probe.Process.Signal(syscall.SIGTERM)
		if err := probe.Wait(); err != nil {
			t.Errorf("the plugin ended with %v and said %s", err, said)
		}
		if strings.Contains(said.String(), "advice") {
			t.Errorf("agentd has advice: %s", said)
		}
	}()
	listed := ""
	for !strings.Contains(listed, "probe.check_url") {
		out, err := exec.CommandContext(ctx, agentd, "tools", "list", "--server", url).CombinedOutput()
		if listed = string(out); ctx.Err() != nil {
			t.Fatalf("it is not listed: %v %s; the plugin said %s", err, listed, said)
		}
	}
	for _, tool := range []string{"probe.resolve", "probe.connect", "probe.check_certificate"} {
		if !strings.Contains(listed, tool) {
			t.Errorf("%s is not listed in %s", tool, listed)
		}
	}
	request, err := json.Marshal(map[string]any{
		"name": "tools/probe.connect", "argumentsJson": `{"host":"` + listener.Addr().String() + `"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	grpcurl, err := exec.LookPath("grpcurl")
	if err != nil {
		t.Skip("no grpcurl on PATH: the call was not made")
	}
	answer, err := exec.CommandContext(ctx, grpcurl, "-plaintext", "-d", string(request), strings.TrimPrefix(url, "http://"), "agentd.v1.CatalogService/CallTool").CombinedOutput()
	if err != nil || !strings.Contains(string(answer), "probe.connected") {
		t.Errorf("%v: %s", err, answer)
	}
}

// daemon starts agentd on a free port and gives its URL.
func daemon(t *testing.T, ctx context.Context, program string) string {
	t.Helper()
	command := exec.CommandContext(ctx, program, "serve", "--listen", "127.0.0.1:0", "--http", "off", "--data-dir", t.TempDir())
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	place := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	lines := bufio.NewScanner(reader)
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
		if found := place.FindString(lines.Text()); found != "" && !strings.HasSuffix(found, ":0") {
			go func() {
				for lines.Scan() {
				}
			}()
			return "http://" + found
		}
	}
	t.Fatalf("agentd did not say where it listens: %v", all)
	return ""
}
