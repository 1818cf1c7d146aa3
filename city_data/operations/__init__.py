"""What operators run: backfills, the collector, the exporter, doctor, migrations."""
