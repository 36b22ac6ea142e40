package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A container whose command is "simulate" obeys the words that follow (its command, then its
// args), one after the other. Any other container runs until it is stopped and writes nothing.
//
//	log TEXT            writes a line to stdout; err TEXT writes one to stderr
//	flood COUNT TEXT    writes COUNT lines "TEXT <number>"
//	wait DURATION       lets time pass, such as 500ms
//	serve HOST:PORT CODE    answers HTTP with CODE from now on, until the container ends
//	exit CODE           ends; the reason is Completed or Error
//	oom                 ends as the kernel ends it over its memory limit: 137, OOMKilled
//	refuse TEXT         is not started at all: the runtime's error is TEXT, reason StartError
//
// At the end of its words a container runs on until it is stopped. The command of an exec probe is
// read in the same way, without a leading "simulate"; log is its output, exit its result (0 when
// nothing else is said), and one more word makes it depend on time:
//
//	older DURATION      goes on only when the container is older than that, else succeeds
type ending struct {
	code   int32
	reason string
}

type script struct {
	words   []string
	out     func(stream, line string)
	started time.Time
}

// simulated returns the words that a container obeys.
func simulated(command, args []string) []string {
	if len(command) == 0 || command[0] != "simulate" {
		return nil
	}
	return append(append([]string{}, command[1:]...), args...)
}

// refusal is what the runtime says instead of starting the container, if it does.
func refusal(words []string) (string, bool) {
	if len(words) == 2 && words[0] == "refuse" {
		return words[1], true
	}
	return "", false
}

// run obeys the words. It returns nil at their end, an ending when they say so, and an error on a
// word that it does not know: a slip in a test must not look like a healthy container.
func (s *script) run(ctx context.Context) (*ending, error) {
	next := func() (string, error) {
		if len(s.words) == 0 {
			return "", fmt.Errorf("the script ends too early")
		}
		word := s.words[0]
		s.words = s.words[1:]
		return word, nil
	}
	for len(s.words) > 0 && ctx.Err() == nil {
		verb, _ := next()
		if verb == "oom" {
			return &ending{137, "OOMKilled"}, nil
		}
		operand, err := next()
		if err != nil {
			return nil, err
		}
		switch verb {
		case "log":
			s.out("stdout", operand)
		case "err":
			s.out("stderr", operand)
		case "flood":
			count, err := strconv.Atoi(operand)
			if err != nil {
				return nil, err
			}
			text, err := next()
			if err != nil {
				return nil, err
			}
			for number := range count {
				s.out("stdout", text+" "+strconv.Itoa(number))
			}
		case "wait", "older":
			duration, err := time.ParseDuration(operand)
			if err != nil {
				return nil, err
			}
			if verb == "older" {
				if time.Since(s.started) < duration {
					return nil, nil
				}
				continue
			}
			select {
			case <-ctx.Done():
			case <-time.After(duration):
			}
		case "serve":
			code, err := next()
			if err != nil {
				return nil, err
			}
			if err := serve(ctx, operand, code); err != nil {
				return nil, err
			}
		case "exit":
			code, err := strconv.ParseInt(operand, 10, 32)
			if err != nil {
				return nil, err
			}
			if code == 0 {
				return &ending{0, "Completed"}, nil
			}
			return &ending{int32(code), "Error"}, nil
		default:
			return nil, fmt.Errorf("unknown word %q", verb)
		}
	}
	return nil, nil
}

func serve(ctx context.Context, address, code string) error {
	status, err := strconv.Atoi(code)
	if err != nil || !strings.Contains(address, ":") {
		return fmt.Errorf("serve wants HOST:PORT CODE, not %s %s", address, code)
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(answer)}
	go server.ListenAndServe()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	return nil
}
