module switchgear.example/tools/cluster/pause

go 1.26.0
