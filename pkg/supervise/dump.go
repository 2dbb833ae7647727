package supervise

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxDump bounds one dump in bytes; what is beyond it is cut off.
const maxDump = 16 << 20

// keepDump saves what the runtime wrote when the process died and returns its path: empty when it wrote nothing, as
// after an orderly end or SIGKILL.
func (k *keeper) keepDump(p *process) (string, error) {
	if k.opts.DumpDir == "" {
		return "", nil
	}
	text, err := io.ReadAll(io.NewSectionReader(p.crash, 0, maxDump))
	if err != nil || len(text) == 0 {
		return "", err
	}
	if err := os.MkdirAll(k.opts.DumpDir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(k.opts.DumpDir, dumpName(k.child.Name, p))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", err
	}
	return path, k.dropOldDumps()
}

// dumpName sorts by time within one child: "signal-20260102T150405.000Z-4711.txt".
func dumpName(child string, p *process) string {
	return child + "-" + p.started.Add(p.uptime).UTC().Format("20060102T150405.000Z") + "-" + strconv.Itoa(p.pid) + ".txt"
}

func (k *keeper) dropOldDumps() error {
	entries, err := os.ReadDir(k.opts.DumpDir)
	if err != nil {
		return err
	}
	var own []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), k.child.Name+"-2") && strings.HasSuffix(e.Name(), ".txt") {
			own = append(own, e.Name())
		}
	}
	slices.Sort(own)
	var errs []error
	for _, name := range own[:max(0, len(own)-k.opts.Dumps)] {
		errs = append(errs, os.Remove(filepath.Join(k.opts.DumpDir, name)))
	}
	return errors.Join(errs...)
}
