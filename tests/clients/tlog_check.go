// tlog_check - other people's code looks at one of our logs: golang.org/x/mod's sumdb/note and
// sumdb/tlog, as Debian packages them, check signatures, the root, every entry and given proofs.
//
//	tlog_check FOLDER VKEY WITNESS-VKEY < PROOFS
//
// PROOFS has lines `inclusion INDEX HASH…` and `consistency OLD HASH…` of hashes in hex. It ends
// with status 0 and a line that counts what was checked; whatever does not fit ends it.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile; x/mod names it in its paths, C2SP's do not

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "tlog_check:", err)
		os.Exit(1)
	}
}

func refuse(format string, what ...any) { must(fmt.Errorf(format, what...)) }

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	must(err)
	return n
}

// --- the folder as x/mod sees it ---

type folder struct {
	path string
	size int64
}

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

// Ours is theirs without the height.
func ours(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(f.path, ours(tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// Every file below tile/ has a path that x/mod writes the same way, and the length of its width.
func (f folder) checkFiles() int {
	count := 0
	root := filepath.Join(f.path, "tile")
	if f.size == 0 {
		_, err := os.Stat(root)
		if !os.IsNotExist(err) {
			refuse("an empty log has tiles")
		}
		return 0
	}
	must(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		must(err)
		if info.IsDir() {
			return nil
		}
		name, err := filepath.Rel(root, path)
		must(err)
		entries := strings.HasPrefix(name, "entries/")
		theirs := "tile/8/" + strings.Replace(name, "entries/", "data/", 1)
		tile, err := tlog.ParseTilePath(theirs)
		must(err)
		if tile.Path() != theirs || (!entries && info.Size() != int64(tile.W)*tlog.HashSize) {
			refuse("file %s is named or sized otherwise", name)
		}
		count++
		return nil
	}))
	// and what a log of this size must have is there
	for _, tile := range tlog.NewTiles(height, 0, f.size) {
		level := uint(height * tile.L)
		width := f.size>>level - tile.N<<height
		if width < int64(tile.W) {
			refuse("tile %s does not belong here", tile.Path())
		}
		if width > int64(tile.W) && tile.W < 1<<height {
			continue // older versions list widths in between too
		}
		_, err := os.Stat(filepath.Join(f.path, ours(tile)))
		must(err)
	}
	return count
}

// --- cosignature/v1, which x/mod does not know ---

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	must(err)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	if key[0] != 4 || len(key) != 1+ed25519.PublicKeySize {
		refuse("%s is not a witness's key", vkey)
	}
	return cosigner{parts[0], uint32(hash), key[1:]}
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(c.key, []byte(message), signature[8:])
}

// --- checks ---

func openCheckpoint(path, vkey, witness string) (size int64, root tlog.Hash) {
	log, err := note.NewVerifier(vkey)
	must(err)
	data, err := os.ReadFile(filepath.Join(path, "checkpoint"))
	must(err)
	signed, err := note.Open(data, note.VerifierList(log, newCosigner(witness)))
	must(err)
	if len(signed.Sigs) != 2 || len(signed.UnverifiedSigs) != 0 {
		refuse("%d signatures were verified, not 2", len(signed.Sigs))
	}
	for at := range data { // x/mod notices every changed byte of the text
		if at < len(signed.Text) {
			spoilt := append([]byte{}, data...)
			spoilt[at] ^= 1
			if _, err := note.Open(spoilt, note.VerifierList(log)); err == nil {
				refuse("the note means the same with byte %d changed", at)
			}
		}
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Name() || lines[3] != "" {
		refuse("text of the checkpoint: %q", signed.Text)
	}
	root, err = tlog.ParseHash(lines[2])
	must(err)
	return number(lines[1]), root
}

// The entries of bundle N.
func bundle(path string, n int64, width int) [][]byte {
	tile := tlog.Tile{H: height, L: -1, N: n, W: width}
	name := strings.Replace(ours(tile), "tile/data/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(path, name))
	must(err)
	var entries [][]byte
	for len(data) > 0 {
		length := 0
		if len(data) >= 2 {
			length = int(binary.BigEndian.Uint16(data))
		}
		if len(data) < 2+length {
			refuse("%s ends in an entry", name)
		}
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if len(entries) != width {
		refuse("%s has %d entries", name, len(entries))
	}
	return entries
}

func checkEntries(path string, size int64, hashes tlog.HashReader) {
	tree := tlog.HashReaderFunc(hashes.ReadHashes)
	for n := int64(0); n<<height < size; n++ {
		width := size - n<<height
		if width > 1<<height {
			width = 1 << height
		}
		var indexes []int64
		for i := int64(0); i < width; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, n<<height+i))
		}
		stored, err := tree.ReadHashes(indexes) // checked against the root on the way
		must(err)
		for i, entry := range bundle(path, n, int(width)) {
			if tlog.RecordHash(entry) != stored[i] {
				refuse("entry %d is not the one of the tree", n<<height+int64(i))
			}
		}
	}
}

func parseHashes(words []string) (all []tlog.Hash) {
	for _, word := range words {
		var hash tlog.Hash
		raw, err := hex.DecodeString(word)
		must(err)
		if copy(hash[:], raw) != tlog.HashSize || len(raw) != tlog.HashSize {
			refuse("hash %q", word)
		}
		all = append(all, hash)
	}
	return all
}

func same(a, b []tlog.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i][:], b[i][:]) {
			return false
		}
	}
	return true
}

func checkInclusion(index, size int64, root tlog.Hash, proof []tlog.Hash, hashes tlog.HashReader) {
	stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	must(err)
	must(tlog.CheckRecord(proof, size, root, index, stored[0]))
	theirs, err := tlog.ProveRecord(size, index, hashes)
	must(err)
	if !same(theirs, proof) {
		refuse("x/mod proves entry %d otherwise", index)
	}
}

func checkConsistency(old, size int64, root tlog.Hash, proof []tlog.Hash, hashes tlog.HashReader) {
	oldRoot, err := tlog.TreeHash(old, hashes)
	must(err)
	must(tlog.CheckTree(proof, size, root, old, oldRoot))
	theirs, err := tlog.ProveTree(size, old, hashes)
	must(err)
	if !same(theirs, proof) {
		refuse("x/mod proves the growth from %d otherwise", old)
	}
}

func checkProofs(size int64, root tlog.Hash, hashes tlog.HashReader) (count int) {
	lines := bufio.NewScanner(os.Stdin)
	for ; lines.Scan(); count++ {
		words := strings.Fields(lines.Text())
		proof := parseHashes(words[2:])
		switch words[0] {
		case "inclusion":
			checkInclusion(number(words[1]), size, root, proof, hashes)
		case "consistency":
			checkConsistency(number(words[1]), size, root, proof, hashes)
		default:
			refuse("line %q", lines.Text())
		}
	}
	must(lines.Err())
	return count
}

func main() {
	path := os.Args[1]
	size, root := openCheckpoint(path, os.Args[2], os.Args[3])
	log := folder{path, size}
	files := log.checkFiles()
	proofs := 0
	if size > 0 { // x/mod before 0.19 has no root of nothing
		hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, log)
		again, err := tlog.TreeHash(size, hashes)
		must(err)
		if again != root {
			refuse("the tiles have root %v", again)
		}
		checkEntries(path, size, hashes)
		proofs = checkProofs(size, root, hashes)
	} else if root.String() != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		refuse("the empty log has root %v", root)
	}
	fmt.Printf("ok size %d files %d proofs %d\n", size, files, proofs)
}
