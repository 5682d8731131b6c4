"""What cloud and device share: messages, the cloud model, the sample classifier, personal heads and their blend."""
