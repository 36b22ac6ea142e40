package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/utils/exec"
)

// A container runtime without containers: what the kubelet sees of it is what a script tells (see
// script.go). Bookkeeping of sandboxes and containers is Kubernetes' own fake; added here are what
// happens in a container, log files in the CRI format, results of exec probes, and exit states.
// Back-off, restarts, probes, conditions, events and all texts are the kubelet's.
type scriptedRuntime struct {
	*critest.FakeRuntimeService
	mutex      sync.Mutex
	addresses  int
	directory  map[string]string // of a sandbox's logs
	containers map[string]*scripted
}

type scripted struct {
	words   []string
	log     string
	cancel  context.CancelFunc
	started time.Time
}

func newRuntime() *scriptedRuntime {
	fake := critest.NewFakeRuntimeService()
	fake.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true},
		{Type: cri.NetworkReady, Status: true},
	}}
	return &scriptedRuntime{
		FakeRuntimeService: fake,
		directory:          map[string]string{},
		containers:         map[string]*scripted{},
	}
}

func (r *scriptedRuntime) Version(context.Context, string) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{
		Version: "0.1.0", RuntimeName: "simulated", RuntimeVersion: "0.1.0", RuntimeApiVersion: "v1",
	}, nil
}

// RunPodSandbox gives each pod an address of its own. Nothing listens there.
func (r *scriptedRuntime) RunPodSandbox(ctx context.Context, config *cri.PodSandboxConfig, handler string) (string, error) {
	id, err := r.FakeRuntimeService.RunPodSandbox(ctx, config, handler)
	if err != nil {
		return id, err
	}
	r.mutex.Lock()
	r.addresses++
	address := fmt.Sprintf("10.244.%d.%d", r.addresses/250%250, r.addresses%250+2)
	r.directory[id] = config.LogDirectory
	r.mutex.Unlock()
	r.Lock()
	defer r.Unlock()
	r.Sandboxes[id].Network.Ip = address
	return id, nil
}

func (r *scriptedRuntime) CreateContainer(ctx context.Context, sandbox string, config *cri.ContainerConfig, sandboxConfig *cri.PodSandboxConfig) (string, error) {
	id, err := r.FakeRuntimeService.CreateContainer(ctx, sandbox, config, sandboxConfig)
	if err != nil {
		return id, err
	}
	r.mutex.Lock()
	log := filepath.Join(r.directory[sandbox], config.LogPath)
	r.containers[id] = &scripted{words: simulated(config.Command, config.Args), log: log}
	r.mutex.Unlock()
	r.Lock()
	defer r.Unlock()
	r.Containers[id].LogPath = log
	return id, nil
}

func (r *scriptedRuntime) StartContainer(ctx context.Context, id string) error {
	if err := r.FakeRuntimeService.StartContainer(ctx, id); err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	container := r.containers[id]
	if text, refused := refusal(container.words); refused {
		r.end(id, ending{128, "StartError"}, text)
		return status.Error(codes.Unknown, "failed to create containerd task: "+text)
	}
	if err := os.MkdirAll(filepath.Dir(container.log), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(container.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	container.cancel, container.started = cancel, time.Now()
	script := &script{words: container.words, started: container.started}
	script.out = func(stream, line string) {
		now := time.Now().UTC().Format(time.RFC3339Nano)
		for _, part := range strings.Split(line, "\n") {
			fmt.Fprintf(file, "%s %s F %s\n", now, stream, part)
		}
	}
	go func() {
		defer file.Close()
		how, err := script.run(running)
		if err != nil {
			script.out("stderr", "simulate: "+err.Error())
			how = &ending{127, "Error"}
		}
		if how != nil {
			r.end(id, *how, "")
			cancel()
		}
	}()
	return nil
}

// end makes a container exited, once.
func (r *scriptedRuntime) end(id string, how ending, message string) {
	r.Lock()
	defer r.Unlock()
	container, known := r.Containers[id]
	if !known || container.State == cri.ContainerState_CONTAINER_EXITED {
		return
	}
	container.State = cri.ContainerState_CONTAINER_EXITED
	container.FinishedAt = time.Now().UnixNano()
	container.ExitCode, container.Reason, container.Message = how.code, how.reason, message
}

// StopContainer ends it as a program ends that leaves SIGTERM to its default.
func (r *scriptedRuntime) StopContainer(_ context.Context, id string, _ int64) error {
	r.end(id, ending{143, "Error"}, "")
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if container, known := r.containers[id]; known && container.cancel != nil {
		container.cancel()
	}
	return nil
}

func (r *scriptedRuntime) StopPodSandbox(ctx context.Context, sandbox string) error {
	r.Lock()
	var inside []string
	for id, container := range r.Containers {
		if container.SandboxID == sandbox {
			inside = append(inside, id)
		}
	}
	r.Unlock()
	for _, id := range inside {
		r.StopContainer(ctx, id, 0)
	}
	return r.FakeRuntimeService.StopPodSandbox(ctx, sandbox)
}

// RemoveContainer removes its log, too, as runtimes and the kubelet do together.
func (r *scriptedRuntime) RemoveContainer(ctx context.Context, id string) error {
	r.StopContainer(ctx, id, 0)
	r.mutex.Lock()
	delete(r.containers, id)
	r.mutex.Unlock()
	return r.FakeRuntimeService.RemoveContainer(ctx, id)
}

// ExecSync is what exec probes come to.
func (r *scriptedRuntime) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) ([]byte, []byte, error) {
	r.mutex.Lock()
	container, known := r.containers[id]
	r.mutex.Unlock()
	if !known {
		return nil, nil, status.Errorf(codes.NotFound, "container %q not found", id)
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var text strings.Builder
	script := &script{words: command, started: container.started}
	script.out = func(_, line string) { text.WriteString(line + "\n") }
	how, err := script.run(ctx)
	if ctx.Err() != nil {
		return nil, nil, status.Errorf(codes.DeadlineExceeded, "command %q timed out", command)
	}
	if err != nil {
		text.WriteString("simulate: " + err.Error())
		how = &ending{127, "Error"}
	}
	output := []byte(text.String())
	if how == nil || how.code == 0 {
		return output, nil, nil
	}
	failed := fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), how.code, output)
	return output, nil, exec.CodeExitError{Err: failed, Code: int(how.code)}
}

// A registry of which these images cannot be had, each with the words of containerd:
//
//	a tag that contains "absent"           is not found
//	a repository that contains "/private/"  wants a login
//	a host that begins with "unreachable."   has no address
//
// All others are there.
type scriptedImages struct{ *critest.FakeImageService }

func (i scriptedImages) PullImage(ctx context.Context, image *cri.ImageSpec, auth *cri.AuthConfig, sandbox *cri.PodSandboxConfig) (string, error) {
	name := image.Image
	host, path, _ := strings.Cut(name, "/")
	failed := fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: ", name, name)
	switch tag := name[strings.LastIndex(name, ":")+1:]; {
	case strings.Contains(tag, "absent"):
		return "", status.Error(codes.NotFound, failed+name+": not found")
	case strings.Contains(name, "/private/"):
		return "", status.Error(codes.Unknown, failed+"failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://"+host+"/token: 401 Unauthorized")
	case strings.HasPrefix(host, "unreachable."):
		repository, _, _ := strings.Cut(path, ":")
		return "", status.Error(codes.Unknown, failed+fmt.Sprintf("failed to do request: Head \"https://%s/v2/%s/manifests/%s\": dial tcp: lookup %s: no such host", host, repository, tag, host))
	}
	return i.FakeImageService.PullImage(ctx, image, auth, sandbox)
}
