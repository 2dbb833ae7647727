// Package rig builds the programs that its packages drive: node starts them, phone calls through them, baresip and
// sipp bring strangers. Everything under it is for tests and the demonstration, never for the product.
package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Programs are what Build builds, by the name of their folder in cmd.
var Programs = []string{"lmss", "mssctl", "mssdemo", "tmss"}

var build = sync.OnceValues(buildOnce)

// binVariable names a folder with programs that are built already, as by make build.
const binVariable = "MSS_BIN"

// Build compiles the programs into .build/test/bin and gives that folder, or gives the folder that MSS_BIN names. It does
// so once in a process, and processes wait for one another; what is up to date costs a second. .build/bin, which make
// owns, stays as it is: a program that is being tested is never replaced under a demonstration, nor the other way round.
func Build() (dir string, err error) { return build() }

func buildOnce() (string, error) {
	if dir := os.Getenv(binVariable); dir != "" {
		return filepath.Abs(dir)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".build", "test", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build programs: %w", err)
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("build programs: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("build programs: lock %s: %w", lock.Name(), err)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", dir + "/"}
	for _, p := range Programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return dir, nil
}

func moduleRoot() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
