"""What cloud and device share: samples, the cloud model, the sample classifier, personal heads and their blend."""
