package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

var update = flag.Bool("update", false, "write testdata again")

func TestMain(m *testing.M) {
	time.Local = time.UTC // what people see is in their zone; the files here are in one
	os.Exit(m.Run())
}

// result is what a command line gave.
type result struct {
	out, errOut string
	code        int
	err         error
}

// run carries out one command line against the node's socket.
func (n *node) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return run(t, map[string]string{socketVariable: n.socket}, stdin, args...)
}

func run(t *testing.T, env map[string]string, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &app{
		in: strings.NewReader(stdin), out: &out, errOut: &errOut,
		env: func(name string) string { return env[name] }, now: func() time.Time { return start },
	}
	err := a.run(t.Context(), args)
	if err != nil {
		a.report(err)
	}
	return result{out: out.String(), errOut: errOut.String(), code: exitCode(err), err: err}
}

// The transcript is what an operator sees.
func TestTranscript(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	transcript(t, "transcript.txt", n.socket,
		"user list", "user list nobody", "user add 4003 --display-name x", "user set 4001 --new-password", "user set 4001", "user delete 4001", "user delete fixed",
		"registration list", "call list", "call hangup 06f0", "call hangup 9999", "call trace 06f0", "call trace 06f0 --messages", "cdr list", "status",
		"", "user", "usr list", "user lst", "user add", "user list a b", "user list --wrong", "cdr list --since yesterday", "status -o xml",
		"user list -o yaml", "call trace 06f0 -o json", "status -o json", "cdr list -o json",
		"peer list", "audit list", "audit list --limit 1 -o json", "audit list --since tomorrow", "node", "node log-level", "node log-level debug", "node log-level debug -o yaml",
		"node log-level loud",
		"user list nobody -o json", "user list nobody -o yaml", "user list a b -o json", "user delete fixed -o yaml", "user lst -o json",
	)
}

// transcript runs command lines against a socket and compares what an operator sees with a file.
func transcript(t *testing.T, file, socket string, commands ...string) {
	t.Helper()
	var b strings.Builder
	for _, line := range commands {
		r := run(t, map[string]string{socketVariable: socket}, "", strings.Fields(line)...)
		fmt.Fprintf(&b, "$ mssctl %s\n%s%sexit %d\n\n", line, r.out, r.errOut, r.code)
	}
	golden(t, file, strings.ReplaceAll(b.String(), socket, "SOCKET"))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// No list prints anything but its objects in a format for programs, also when there are none.
func TestListsForPrograms(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		n := newNode(t)
		n.empty = empty
		for _, line := range []string{"user list", "registration list", "call list", "cdr list", "peer list", "audit list"} {
			var fromJSON, fromYAML []map[string]any
			r := n.run(t, "", append(strings.Fields(line), "-o", "json")...)
			if err := json.Unmarshal([]byte(r.out), &fromJSON); err != nil || r.code != 0 || r.errOut != "" {
				t.Errorf("%s: %+v: %v", line, r, err)
			}
			r = n.run(t, "", append(strings.Fields(line), "-o", "yaml")...)
			if err := yaml.Unmarshal([]byte(r.out), &fromYAML); err != nil || r.code != 0 || r.errOut != "" {
				t.Errorf("%s: %+v: %v", line, r, err)
			}
			if len(fromJSON) != len(fromYAML) || (len(fromJSON) == 0) != empty {
				t.Errorf("%s: %d objects in JSON, %d in YAML", line, len(fromJSON), len(fromYAML))
			}
			if r = n.run(t, "", strings.Fields(line)...); empty && (r.out != "" || !strings.HasPrefix(r.errOut, "no ")) {
				t.Errorf("%s: an empty table: %+v", line, r)
			}
		}
	}
}

// What is asked of the node is what the flags say, and nothing that they do not say.
func TestRequests(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  proto.Message
	}{
		"generated": {[]string{"user", "add", "4001"}, "", &lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4001"}, GeneratePassword: true}},
		"from standard input": {
			[]string{"user", "add", "4001", "--password-stdin"},
			"a b\r\n",
			&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4001"}, Password: "a b"},
		},
		"known by address": {
			[]string{"user", "add", "gw", "--no-password", "--address", "192.0.2.7,192.0.2.8", "--address", "192.0.2.9", "--target", "tcp 192.0.2.7:5060", "--max-phones", "4", "--disabled"},
			"", &lmssv1.AddUserRequest{User: &lmssv1.User{
				Name: "gw", Addresses: []string{"192.0.2.7", "192.0.2.8", "192.0.2.9"}, Target: "tcp 192.0.2.7:5060", MaxBindings: 4, Disabled: true,
			}},
		},
		"set one": {[]string{"user", "set", "4001", "--disabled=false"}, "", &lmssv1.SetUserRequest{Name: "4001", Disabled: new(false)}},
		"set to nothing": {
			[]string{"user", "set", "4001", "--address", "", "--target", "", "--display-name", "", "--max-phones", "0"},
			"",
			&lmssv1.SetUserRequest{Name: "4001", Addresses: &lmssv1.AddressList{}, Target: new(""), DisplayName: new(""), MaxBindings: new(uint32(0))},
		},
		"set password":  {[]string{"user", "set", "4001", "--password-stdin"}, "x", &lmssv1.SetUserRequest{Name: "4001", Password: new("x")}},
		"new password":  {[]string{"user", "set", "4001", "--new-password"}, "", &lmssv1.SetUserRequest{Name: "4001", GeneratePassword: true}},
		"records":       {[]string{"cdr", "list"}, "", &lmssv1.ListRecordsRequest{Limit: 100}},
		"records since": {[]string{"cdr", "list", "--since", "24h", "--user", "4001", "--limit", "3"}, "", &lmssv1.ListRecordsRequest{Since: timestamppb.New(start.Add(-24 * time.Hour)), User: "4001", Limit: 3}},
		"records until": {[]string{"cdr", "list", "--until", "2026-01-02 15:04"}, "", &lmssv1.ListRecordsRequest{Until: timestamppb.New(start.Truncate(time.Minute)), Limit: 100}},
	} {
		if r := n.run(t, c.stdin, c.args...); r.err != nil {
			t.Errorf("%s: %v", name, r.err)
		}
		if got := n.last(); !proto.Equal(got, c.want) {
			t.Errorf("%s: asked %v, want %v", name, got, c.want)
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for name, stdin := range map[string]string{"none": "", "an empty line": "\n", "two lines": "a\nb\n", "endless": strings.Repeat("x", 5000)} {
		if r := n.run(t, stdin, "user", "add", "4001", "--password-stdin"); r.code != exitUsage || n.last() != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, line := range []string{"user add 4001 --password-stdin --no-password", "user set 4001 --password-stdin --new-password"} {
		if r := n.run(t, "x", strings.Fields(line)...); r.code != exitUsage {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// Each way in which the node cannot be reached has its own words and says what to do.
func TestNodeNotThere(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	dead := filepath.Join(filepath.Dir(n.socket), "dead.sock")
	if err := os.WriteFile(dead, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/nowhere/admin.sock": "lmss run", dead: "nobody answers"} {
		if r := run(t, nil, "", "status", "--socket", path); r.code != exitUnavailable || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: exit %d: %v", path, r.code, r.err)
		}
	}
	if r := run(t, map[string]string{socketVariable: "/nowhere"}, "", "status", "--socket", n.socket); r.err != nil {
		t.Errorf("the flag must win over the variable: %v", r.err)
	}
}

func TestOnlySocket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := onlySocket(folder); exitCode(err) != exitUnavailable || !strings.Contains(err.Error(), "lmss run") {
		t.Errorf("none: %v", err)
	}
	first := filepath.Join(folder, "admin.sock")
	for i, path := range []string{first, filepath.Join(folder, "media.sock"), filepath.Join(folder, "other", "admin.sock")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := onlySocket(folder)
		if i < 2 && (got != first || err != nil) {
			t.Errorf("one: %q, %v", got, err)
		}
		if i == 2 && exitCode(err) != exitUsage {
			t.Errorf("two: %q, %v", got, err)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, env: func(name string) string { return map[string]string{socketVariable: n.socket}[name] }, now: time.Now}
	if err := a.run(ctx, []string{"status"}); exitCode(err) != exitUnavailable {
		t.Errorf("exit %d: %v", exitCode(err), err)
	}
}

func TestCompletionAndVersion(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for line, want := range map[string]string{
		"user delete ": "4001\tFront desk\ngateway\n", "call trace ": "06f0call\t4001 to 4002\n", "status -o ": "table\njson\nyaml\n", "user delete x ": ":4\n",
	} {
		args := append([]string{"__complete"}, strings.Fields(line)...)
		if r := n.run(t, "", append(args, "")...); !strings.HasPrefix(r.out, want) {
			t.Errorf("%q completes to %q", line, r.out)
		}
	}
	if r := n.run(t, "", "--version"); r.err != nil || !strings.Contains(r.out, "protocol v1") {
		t.Errorf("version: %+v", r)
	}
	if r := n.run(t, "", "completion", "bash"); r.err != nil || !strings.Contains(r.out, "mssctl") {
		t.Errorf("completion: %v", r.err)
	}
}
