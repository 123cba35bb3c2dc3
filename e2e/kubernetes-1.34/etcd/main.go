// Command etcd is the server of go.etcd.io/etcd, whose own main package is not part of a module that can be built.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
