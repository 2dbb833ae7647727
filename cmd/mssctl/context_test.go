package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Contexts are made, used, listed and forgotten, and say which node is asked.
func TestContexts(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	n, hub := newNode(t), newHub(t)
	env := map[string]string{"HOME": home}
	do := func(line string) result { return run(t, env, "", strings.Fields(line)...) }
	want := func(line string, code int, says string) {
		t.Helper()
		if r := do(line); r.code != code || !strings.Contains(r.out+r.errOut, says) {
			t.Errorf("%s: exit %d, %s%s, want %d, %q", line, r.code, r.out, r.errOut, code, says)
		}
	}
	want("context list", exitOK, "no contexts")
	want("context list -o json", exitOK, "[]")
	want("context use office", exitNotFound, "context add")
	want("context add office", exitUsage, "--socket PATH or --node ADDRESS")
	want("context add hub --node 192.0.2.1:5443", exitUsage, "missing --operator")
	want("context add office --socket "+n.socket, exitOK, "mssctl context use office")
	want("context add office --socket "+n.socket, exitFailure, "already exists")
	want("context add hub --socket "+hub, exitOK, "added")
	want("context add far --node 192.0.2.1:5443 --operator ann.pem -o json", exitOK, `"node": "192.0.2.1:5443"`)
	want("status --context nowhere", exitNotFound, "context list")
	want("status --context office", exitOK, "london")
	want("status --context office --socket x", exitUsage, "excludes")
	want("status --context far", exitNotFound, "ann.pem")
	want("context use office", exitOK, "is the current one")
	want("status", exitOK, "site ")
	want("status --context hub", exitOK, "hub ")
	want("context list", exitOK, "*        office  "+n.socket)
	want("context list -o yaml", exitOK, "current: true")
	env[contextVariable] = "hub"
	want("status", exitOK, "hub ")
	delete(env, contextVariable)
	env[socketVariable] = hub
	want("status", exitOK, "hub ") // what is said for this shell is above what is kept
	delete(env, socketVariable)
	want("context delete office", exitOK, "deleted")
	want("context delete office", exitNotFound, "no such context")
	want("__complete status --context f", exitOK, "far\t192.0.2.1:5443\nhub")
	info, err := os.Stat(filepath.Join(home, ".config", "mss", "contexts.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(home, ".config", "mss", "contexts.yaml"), []byte("contexts: [{nme: x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("context list", exitUsage, "correct the file")
	want("status --context hub", exitUsage, "correct the file")
	want("status", exitUsage, "correct the file") // it may name another node than the one on this machine
	want("status --socket "+n.socket, exitOK, "london")
}

// Every verb says what it does and shows how it is written, and offers its flags and nouns to the shell.
func TestEveryVerbHasHelp(t *testing.T) {
	t.Parallel()
	a := &app{env: func(string) string { return "" }}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			visit(child)
		}
		if cmd.HasSubCommands() {
			return
		}
		if cmd.Short == "" || !strings.HasPrefix(cmd.Example, "  "+cmd.CommandPath()) {
			t.Errorf("%s: %q, example %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		if cmd.ValidArgsFunction == nil && strings.ContainsAny(cmd.Use, "[") && cmd.Name() != "watch" && cmd.CommandPath() != "mssctl route list" {
			t.Errorf("%s: nothing is offered to the shell", cmd.CommandPath())
		}
	}
	visit(a.command())
}
