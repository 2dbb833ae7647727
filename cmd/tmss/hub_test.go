package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mss-federation/mss/cmd/internal/daemon/daemontest"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// freePort is one that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// folder makes a short folder: a test's own can be too long for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tmss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// prepared writes a configuration with free ports and returns its path.
func prepared(t *testing.T, hub, more string) string {
	t.Helper()
	dir := folder(t)
	text := fmt.Sprintf("hub: %s\ndomain: example.org\nstate_dir: %s/state\n", hub, dir)
	if !strings.Contains(more, "listen:") {
		text += "listen: {tls: [\"127.0.0.1:0\"], udp: [\"127.0.0.1:0\"], grpc: \"127.0.0.1:0\"}\n"
	}
	if !strings.Contains(more, "directory:") {
		text += fmt.Sprintf("directory: {listen: \"127.0.0.1:%d\"}\n", freePort(t))
	}
	path := filepath.Join(dir, "tmss.yaml")
	if err := os.WriteFile(path, []byte(text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs one that ends by itself.
func command(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = execute(t.Context(), args, &stdout, &stderr)
	return stdout.String() + stderr.String(), code
}

// born is a prepared configuration whose domain has begun.
func born(t *testing.T, more string) string {
	t.Helper()
	path := prepared(t, "a", more)
	if out, code := command(t, "init", "--config", path); code != 0 {
		t.Fatalf("init: %d, %s", code, out)
	}
	return path
}

// running starts a hub and waits until it is ready.
func running(t *testing.T, path string) *daemontest.Program {
	t.Helper()
	p := daemontest.Start(t, "run", "--config", path)
	p.See(p.Stdout, "ready\n", 1)
	return p
}

func socketOf(path string) string {
	return filepath.Join(filepath.Dir(path), "state", "admin.sock")
}

// api connects to a hub's socket.
func api(t *testing.T, path string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socketOf(path), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// addSite adds an office; the directory may still be starting.
func addSite(t *testing.T, conn *grpc.ClientConn, name, prefix string) {
	t.Helper()
	_, err := tmssv1.NewSitesClient(conn).AddSite(t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: name, Prefixes: []string{prefix}}})
	if err != nil {
		t.Fatal(err)
	}
}

func getStatus(ctx context.Context, t *testing.T, conn *grpc.ClientConn) *tmssv1.Status {
	t.Helper()
	m, err := tmssv1.NewNodeClient(conn).GetStatus(ctx, &tmssv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return m.GetStatus()
}
